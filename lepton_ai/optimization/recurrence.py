"""Recurrent networks in exported graphs: one ONNX operator each, for sequences of any length.

Left alone, ``torch.export`` takes the length of a sequence that went through ``torch.gru`` for
fixed. While a model is exported, the recurrent functions of torch stand for operators of our own,
whose shapes are known, and which are translated to the ONNX operators GRU, LSTM and RNN.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_FUNCTIONS = ("gru", "lstm", "rnn_tanh", "rnn_relu")
_GATES = {"gru": (1, 0, 2), "lstm": (0, 3, 1, 2), "rnn_tanh": (0,), "rnn_relu": (0,)}
"""ONNX's order of the gates, in numbers of torch's."""

_SCHEMA = (
    "(Tensor x, Tensor state, Tensor carry, Tensor kernel, Tensor recurrent, Tensor bias, "
    "Tensor recurrent_bias) -> (Tensor, Tensor, Tensor)"
)


@cache
def operators() -> dict[str, Any]:
    """The operators by the name of torch's function; made when they are first needed."""
    return {name: _operator(name) for name in _FUNCTIONS}


def _operator(name: str) -> Any:
    run = getattr(torch, name)

    def computed(
        x: Tensor, state: Tensor, carry: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor,
        recurrent_bias: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        states = (state, carry) if name == "lstm" else state
        weights = [kernel, recurrent, bias, recurrent_bias]
        found = run(x, states, weights, True, 1, 0.0, False, False, True)
        return found[0], found[1], found[2] if name == "lstm" else carry.clone()

    def shaped(x: Tensor, state: Tensor, carry: Tensor, *weights: Tensor) -> Any:
        outputs = x.new_empty(x.shape[0], x.shape[1], state.shape[2])
        return outputs, torch.empty_like(state), torch.empty_like(carry)

    made = torch.library.custom_op(f"lepton::{name}", computed, mutates_args=(), schema=_SCHEMA)
    made.register_fake(shaped)
    return getattr(torch.ops.lepton, name).default


class Standing(TorchFunctionMode):
    """While it is entered, torch's recurrent functions stand for our operators."""

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name in _FUNCTIONS and len(args) == 9 and not isinstance(args[3], (list, tuple)):
            return _run(name, *args)
        return func(*args, **(kwargs or {}))


def _run(
    name: str, x: Tensor, states: Any, weights: Any, has_biases: bool, layers: int,
    dropout: float, training: bool, bidirectional: bool, batch_first: bool,
) -> tuple[Tensor, ...]:  # fmt: skip
    """What torch's function does, one layer and direction at a time."""
    operator, first = operators()[name], states if isinstance(states, Tensor) else states[0]
    carries = states[1] if name == "lstm" else torch.zeros_like(first)
    per = 4 if has_biases else 2
    directions = 2 if bidirectional else 1
    current = x if batch_first else x.transpose(0, 1)
    ends: list[tuple[Tensor, Tensor]] = []
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            place = layer * directions + direction
            own = list(weights[place * per : (place + 1) * per])
            if not has_biases:
                own += [own[0].new_zeros(own[0].shape[0])] * 2
            given = current.flip(1) if direction else current
            begin = (first[place : place + 1], carries[place : place + 1])
            output, *end = operator(given, *begin, *own)
            outputs.append(output.flip(1) if direction else output)
            ends.append((end[0], end[1]))
        current = torch.cat(outputs, -1) if directions == 2 else outputs[0]
    last = current if batch_first else current.transpose(0, 1)
    finals = [torch.cat(parts) if len(ends) > 1 else parts[0] for parts in zip(*ends, strict=True)]
    return (last, *finals) if name == "lstm" else (last, finals[0])


def translations(opset: Any) -> dict[Any, Callable]:
    """How the operators are written in ONNX, for ``torch.onnx.export``.

    Args:
        opset: The opset of onnxscript to write in.
    """
    return {made: _translation(name, opset) for name, made in operators().items()}


def _translation(name: str, opset: Any) -> Callable:
    order = _GATES[name]

    def ordered(weight: Any) -> Any:
        if len(order) == 1:
            return weight
        gates = opset.Split(weight, axis=0, num_outputs=len(order))
        return opset.Concat(*[gates[gate] for gate in order], axis=0)

    def written(
        x: Any, state: Any, carry: Any, kernel: Any, recurrent: Any, bias: Any, recurrent_bias: Any
    ) -> Any:
        zero = opset.Constant(value_ints=[0])
        weights = [opset.Unsqueeze(ordered(weight), zero) for weight in (kernel, recurrent)]
        both = opset.Concat(ordered(bias), ordered(recurrent_bias), axis=0)
        given = [opset.Transpose(x, perm=[1, 0, 2]), *weights, opset.Unsqueeze(both, zero), None]
        size = int(recurrent.shape[1])
        if name == "lstm":
            outputs, end, ended = opset.LSTM(*given, state, carry, hidden_size=size)
        elif name == "gru":
            outputs, end = opset.GRU(*given, state, hidden_size=size, linear_before_reset=1)
            ended = opset.Identity(carry)
        else:
            kind = "Tanh" if name == "rnn_tanh" else "Relu"
            outputs, end = opset.RNN(*given, state, hidden_size=size, activations=[kind])
            ended = opset.Identity(carry)
        steps = opset.Squeeze(outputs, opset.Constant(value_ints=[1]))
        return opset.Transpose(steps, perm=[1, 0, 2]), end, ended

    return written
