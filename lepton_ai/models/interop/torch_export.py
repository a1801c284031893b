"""Models as plain PyTorch: ``nn.Sequential``, or a graph of ``torch.nn`` modules."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import fx, nn

from lepton_ai.layers.layout import dimension
from lepton_ai.models.interop import torch_modules as modules
from lepton_ai.models.interop.program import Call, Program, program_of, refuse
from lepton_ai.models.interop.torch_layers import plain_modules, separable
from lepton_ai.models.interop.torch_modules import Unfit

Node = Any


def to_torch(model: Any) -> nn.Module:
    """A model of layers as plain ``torch.nn``, with weights of its own and nothing of Lepton.

    What it takes are tensors as torch has them: maps ``[N, channels, height, width]``, sequences
    ``[N, length, features]``, vectors, in the order of the model's inputs. A chain of layers that
    each have a module gives an ``nn.Sequential``, all else an ``fx.GraphModule``. Penalties on
    weights and the dropout inside of attention, which only training knows, stay behind.

    Args:
        model: A Sequential or a model of a graph of layers, built.

    Raises:
        ConfigError: It has layers without a twin in ``torch.nn``; the message names them all.

    Example:
        >>> import numpy as np
        >>> from lepton_ai import layers
        >>> from lepton_ai.models import Sequential
        >>> model = Sequential([layers.Dense(4, "relu", input_shape=(3,)), layers.Dense(1)])
        >>> model.compile(loss="mse")
        >>> run = model.fit(np.zeros((8, 3)), np.zeros(8), verbose=0)
        >>> [type(part).__name__ for part in to_torch(model)]
        ['Linear', 'ReLU', 'Linear']
    """
    program = program_of(model, "to_torch(...)")
    writer = _Writer(program)
    if program.chain and (plain := writer.sequential()) is not None:
        return plain.eval()
    return writer.graph().eval()


class _Writer:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.root = nn.Module()
        self.fx = fx.Graph()
        self.unfit: list[tuple[Any, str]] = []
        self.added: dict[tuple[int, str], list[str]] = {}

    def sequential(self) -> nn.Sequential | None:
        """A chain of modules; None when a layer needs more than modules."""
        parts: list[nn.Module] = []
        order = None  # how the next Dense reads a flattened map
        for call in self.program.calls[1:]:
            layer: Any = call.layer
            kind = type(layer).__name__
            try:
                if kind == "Flatten":
                    shape = layer.input_shape_
                    if len(shape) >= 3:
                        order = torch.arange(layer.output_shape_[0]).view(shape).movedim(-1, 0)
                    parts.append(nn.Flatten())
                    continue
                if order is not None and kind == "Dense":
                    kernel = layer.kernel[:, order.flatten()]
                    parts.append(modules.linear(kernel, modules.bias_of(layer)))
                    parts += modules.activation(layer.activation, 2)
                    order = None
                    continue
                if order is not None and kind not in ("Dropout", "Identity", "Activation", "ReLU"):
                    return None
                found = plain_modules(layer)
            except Unfit:
                return None
            if found is None:
                return None
            parts += found
        return None if order is not None else nn.Sequential(*parts)

    def graph(self) -> fx.GraphModule:
        """The calls as a graph of modules and functions of torch."""
        held: list[Node] = []
        names = {place: name for name, place in self.program.inputs.items()}
        for place in self.program.inputs.values():
            names[place] = "".join(c if c.isalnum() else "_" for c in names[place])
        placeholders = {
            place: self.fx.placeholder(name) for place, name in names.items()
        }  # fmt: skip
        for place, call in enumerate(self.program.calls):
            if not call.args:
                held.append(placeholders[place])
                continue
            try:
                held.append(self._call(call, held))
            except Unfit as error:
                self.unfit.append((call.layer, str(error)))
                held.append(held[0])
        refuse(self.unfit, "to_torch(...)")
        found = [_node(ref, held) for ref in self.program.outputs.values()]
        self.fx.output(found[0] if len(found) == 1 else tuple(found))
        return fx.GraphModule(self.root, self.fx)

    def _call(self, call: Call, held: list[Node]) -> Node:
        layer: Any = call.layer
        inputs = [_node(ref, held) for ref in _refs(call.args)]
        write = _FUNCTIONS.get(type(layer).__name__)
        told = {k: v for k, v in call.named.items() if v not in (None, False)}
        if told and set(told) != {"use_causal_mask"}:
            raise Unfit(f"called with {', '.join(told)}")
        if write is not None:
            return write(self, layer, inputs, **told)
        found = plain_modules(layer)
        if found is None:
            raise Unfit("no twin in torch.nn")
        return self.modules(layer, found, inputs[0])

    def modules(self, layer: Any, parts: list[nn.Module], x: Node, suffix: str = "") -> Node:
        """Modules one after the other; a layer that is called twice has them once."""
        key = (id(layer), suffix)
        if key not in self.added:
            count = len(self.added)
            stem = f"{type(layer).__name__.lower()}_{count}{suffix}"
            self.added[key] = [f"{stem}_{place}" for place in range(len(parts))]
            for name, part in zip(self.added[key], parts, strict=True):
                self.root.add_module(name, part)
        for name in self.added[key]:
            x = self.fx.call_module(name, (x,))
        return x

    def do(self, function: Callable, *args: Any, **named: Any) -> Node:
        """A function of torch."""
        return self.fx.call_function(function, args, named)

    def item(self, several: Node, place: int) -> Node:
        """One of several results."""
        return self.do(operator.getitem, several, place)

    def method(self, name: str, *args: Any) -> Node:
        """A method of a tensor."""
        return self.fx.call_method(name, args)


# -- layers that need functions beside modules -----------------------------------------------


def _over_steps(writer: _Writer, layer: Any, inputs: list[Node]) -> Node:
    """Layers over sequences, whose modules want the features before the steps."""
    kind, shape = type(layer).__name__, layer.input_shape_
    parts: list[nn.Module]
    if kind == "BatchNormalization":
        parts = [modules.batch_norm(layer, 1)]
    elif kind.startswith("SeparableConv"):
        parts = separable(layer, shape)
    elif kind == "Conv1DTranspose":
        parts = modules.transposed(layer)
    elif "Conv" in kind:
        groups = shape[-1] if kind.startswith("Depth") else layer.groups
        bias = modules.bias_of(layer)
        parts = modules.convolution(layer, layer.kernel, bias, groups, shape[:-1])
    elif kind == "SpatialDropout1D":
        parts = [nn.Dropout1d(layer.rate)]
    else:
        parts = modules.pooling(layer, shape[:-1])
    x = writer.modules(layer, parts, writer.do(torch.transpose, inputs[0], 1, 2))
    x = writer.do(torch.transpose, x, 1, 2)
    ends = getattr(layer, "activation", "linear") if "Conv" in kind else "linear"
    if kind.startswith("SeparableConv"):
        return x
    return writer.modules(layer, modules.activation(ends, 3), x, "_end")


def _batch_norm(writer: _Writer, layer: Any, inputs: list[Node]) -> Node:
    rank = len(layer.input_shape_) + 1
    if layer.axis not in (-1, rank - 1):
        raise Unfit("an axis other than the last")
    if rank == 3:
        return _over_steps(writer, layer, inputs)
    return writer.modules(layer, [modules.batch_norm(layer, rank - 2)], inputs[0])


def _layer_norm(writer: _Writer, layer: Any, inputs: list[Node]) -> Node:
    rank = len(layer.input_shape_) + 1
    if layer.axes(rank) != [rank - 1]:
        raise Unfit("axes other than the last")
    made = modules.normalization(nn.LayerNorm(layer.input_shape_[-1], layer.epsilon), layer)
    x = writer.do(torch.movedim, inputs[0], 1, -1) if rank >= 4 else inputs[0]
    x = writer.modules(layer, [made], x)
    return writer.do(torch.movedim, x, -1, 1) if rank >= 4 else x


def _global_steps(writer: _Writer, layer: Any, inputs: list[Node]) -> Node:
    function = torch.amax if "Max" in type(layer).__name__ else torch.mean
    return writer.do(function, inputs[0], dim=1, keepdim=layer.keepdims)


def _flatten(writer: _Writer, layer: Any, inputs: list[Node]) -> Node:
    x = inputs[0]
    if len(layer.input_shape_) >= 3:
        x = writer.do(torch.movedim, x, 1, -1)
    return writer.do(torch.flatten, x, 1)


def _reshape(writer: _Writer, layer: Any, inputs: list[Node]) -> Node:
    x = inputs[0]
    if len(layer.input_shape_) >= 3:
        x = writer.do(torch.movedim, x, 1, -1)
    x = writer.method("reshape", x, -1, *layer.infer(layer.input_shape_))
    return writer.do(torch.movedim, x, -1, 1) if len(layer.target_shape) >= 3 else x


def _permute(writer: _Writer, layer: Any, inputs: list[Node]) -> Node:
    x = inputs[0]
    maps = len(layer.dims) >= 3
    x = writer.do(torch.movedim, x, 1, -1) if maps else x
    x = writer.do(torch.permute, x, (0, *layer.dims))
    return writer.do(torch.movedim, x, -1, 1) if maps else x


def _repeat(writer: _Writer, layer: Any, inputs: list[Node]) -> Node:
    return writer.method("expand", writer.do(torch.unsqueeze, inputs[0], 1), -1, layer.n, -1)


def _rescale(writer: _Writer, layer: Any, inputs: list[Node]) -> Node:
    if isinstance(layer.scale, tuple) or isinstance(layer.offset, tuple):
        raise Unfit("another scale for each channel")
    return writer.do(torch.add, writer.do(torch.mul, inputs[0], layer.scale), layer.offset)


def _merge(writer: _Writer, layer: Any, inputs: list[Node]) -> Node:
    kind = type(layer).__name__
    if kind == "Concatenate":
        along = dimension(layer.axis, len(layer.input_shape_[0]) + 1)
        return writer.do(torch.cat, inputs, along)
    functions = {
        "Add": torch.add, "Average": torch.add, "Subtract": torch.sub, "Multiply": torch.mul,
        "Maximum": torch.maximum, "Minimum": torch.minimum,
    }  # fmt: skip
    x = inputs[0]
    for other in inputs[1:]:
        x = writer.do(functions[kind], x, other)
    return writer.do(torch.div, x, len(inputs)) if kind == "Average" else x


def _direction(writer: _Writer, layer: Any, x: Node) -> tuple[Node, Node]:
    """All outputs of a recurrent layer in the order of reading, and the last."""
    if layer.go_backwards:
        x = writer.do(torch.flip, x, (1,))
    outputs = writer.item(writer.modules(layer, [modules.recurrent(layer)], x), 0)
    return outputs, writer.do(torch.select, outputs, 1, -1)


def _recurrent(writer: _Writer, layer: Any, inputs: list[Node]) -> Node:
    if len(inputs) > 1:
        raise Unfit("an initial state")
    outputs, last = _direction(writer, layer, inputs[0])
    return outputs if layer.return_sequences else last


def _bidirectional(writer: _Writer, layer: Any, inputs: list[Node]) -> Node:
    ahead, last = _direction(writer, layer.forward_layer, inputs[0])
    back, first = _direction(writer, layer.backward_layer, inputs[0])
    if layer.forward_layer.return_sequences:
        pair = [ahead, writer.do(torch.flip, back, (1,))]
    else:
        pair = [last, first]
    if layer.merge_mode == "concat":
        return writer.do(torch.cat, pair, -1)
    if layer.merge_mode is None:
        raise Unfit("merge_mode=None")
    joined = writer.do(torch.mul if layer.merge_mode == "mul" else torch.add, *pair)
    return writer.do(torch.div, joined, 2) if layer.merge_mode == "ave" else joined


def _attend(writer: _Writer, layer: Any, inputs: list[Node], use_causal_mask: bool = False) -> Node:
    query, value = inputs[0], inputs[1] if len(inputs) > 1 else inputs[0]
    key = inputs[2] if len(inputs) > 2 else value
    for name in ("rotary", "sliding_window"):
        if getattr(layer, name, None) is not None:
            raise Unfit(f"{name}={getattr(layer, name)!r}")
    heads = []
    for name, x in (("query", query), ("key", key), ("value", value)):
        bias = getattr(layer, f"{name}_bias") if layer.use_bias else None
        made = modules.linear(getattr(layer, f"{name}_kernel"), bias)
        x = writer.modules(layer, [made], x, f"_{name}")
        x = writer.method("unflatten", x, -1, (layer.num_heads, -1))
        heads.append(writer.do(torch.transpose, x, 1, 2))
    y = writer.do(F.scaled_dot_product_attention, *heads, is_causal=bool(use_causal_mask))
    y = writer.do(torch.flatten, writer.do(torch.transpose, y, 1, 2), 2)
    bias = layer.output_bias if layer.use_bias else None
    return writer.modules(layer, [modules.linear(layer.output_kernel, bias)], y, "_output")


def _each_step(writer: _Writer, layer: Any, inputs: list[Node]) -> Node:
    found = plain_modules(layer.layer) if type(layer.layer).__name__ == "Dense" else None
    if found is None or len(layer.input_shape_) != 2:
        raise Unfit("another layer than Dense at each step")
    return writer.modules(layer, found, inputs[0])


_FUNCTIONS: dict[str, Callable[..., Node]] = {
    **dict.fromkeys(
        ("Conv1D", "Conv1DTranspose", "DepthwiseConv1D", "SeparableConv1D", "MaxPooling1D",
         "AveragePooling1D", "SpatialDropout1D"), _over_steps),
    **dict.fromkeys(("GlobalAveragePooling1D", "GlobalMaxPooling1D"), _global_steps),
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum",
                     "Concatenate"), _merge),
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN"), _recurrent),
    "BatchNormalization": _batch_norm, "LayerNormalization": _layer_norm, "Flatten": _flatten,
    "Reshape": _reshape, "Permute": _permute, "RepeatVector": _repeat, "Rescaling": _rescale,
    "Bidirectional": _bidirectional, "MultiHeadAttention": _attend,
    "TimeDistributed": _each_step,
}  # fmt: skip


def _refs(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [one for inner in value for one in _refs(inner)]
    return [value]


def _node(ref: Any, held: list[Node]) -> Node:
    if not hasattr(ref, "node"):
        raise Unfit(f"called on {ref!r}")
    if ref.position is not None:
        raise Unfit("called on one of several outputs of a layer")
    return held[ref.node]
