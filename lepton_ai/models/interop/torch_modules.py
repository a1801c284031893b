"""Layers as modules of ``torch.nn``, with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lepton_ai.errors import ConfigError
from lepton_ai.layers.window import same_padding

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "relu6": nn.ReLU6, "elu": nn.ELU, "selu": nn.SELU, "celu": nn.CELU,
    "gelu": nn.GELU, "silu": nn.SiLU, "mish": nn.Mish, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh,
    "hard_sigmoid": nn.Hardsigmoid, "hard_silu": nn.Hardswish, "log_sigmoid": nn.LogSigmoid,
    "hard_tanh": nn.Hardtanh, "tanh_shrink": nn.Tanhshrink, "hard_shrink": nn.Hardshrink,
    "soft_shrink": nn.Softshrink, "softplus": nn.Softplus, "softsign": nn.Softsign,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
}  # fmt: skip


class Unfit(ConfigError):
    """A layer that has no twin in ``torch.nn``."""


def activation(name: str, rank: int) -> list[nn.Module]:
    """The module of an activation; ``rank`` counts the axes with the batch."""
    if name == "linear":
        return []
    along = 1 if rank >= 4 else -1
    if name == "softmax":
        return [nn.Softmax(along)]
    if name == "log_softmax":
        return [nn.LogSoftmax(along)]
    if name not in _ACTIVATIONS:
        raise Unfit(f"the activation {name!r} has no module")
    return [_ACTIVATIONS[name]()]


def filled(module: Any, **tensors: Tensor | None) -> Any:
    """A module with the weights given; those that are None are 0 (or were never made)."""
    with torch.no_grad():
        for name, value in tensors.items():
            held = getattr(module, name)
            if held is not None:
                held.copy_(torch.zeros_like(held) if value is None else value)
    return module


def linear(kernel: Tensor, bias: Tensor | None) -> nn.Linear:
    """A linear map; the kernel is ``[outputs, inputs]``."""
    made = nn.Linear(kernel.shape[1], kernel.shape[0], bias is not None)
    return filled(made, weight=kernel, **({} if bias is None else {"bias": bias}))


def bias_of(layer: Any) -> Tensor | None:
    """The bias, where the layer has one."""
    return layer.bias if layer.use_bias else None


def convolution(
    layer: Any, kernel: Tensor, bias: Tensor | None, groups: int, places: tuple[int | None, ...],
    **changed: Any,
) -> list[nn.Module]:  # fmt: skip
    """A convolution, with a module that pads before it where the sides are unequal."""
    rank = len(places)
    strides = changed.get("strides", layer.strides)
    dilation = changed.get("dilation", layer.dilation_rate)
    size = tuple(kernel.shape[2:])
    before, margins = _padded(
        changed.get("padding", layer.padding), places, size, strides, dilation
    )
    made = getattr(nn, f"Conv{rank}d")(
        kernel.shape[1] * groups, kernel.shape[0], size, strides, margins, dilation, groups,
        bias is not None,
    )  # fmt: skip
    weights = {"weight": kernel, **({} if bias is None else {"bias": bias})}
    return [*before, filled(made, **weights)]


def _padded(
    padding: str, places: tuple[int | None, ...], size: tuple[int, ...], strides: Any, dilation: Any
) -> tuple[list[nn.Module], tuple[int, ...]]:
    rank = len(places)
    if padding == "valid":
        return [], (0,) * rank
    if padding == "causal":
        return [nn.ConstantPad1d(((size[0] - 1) * dilation[0], 0), 0.0)], (0,)
    both = []
    for n, k, s, d in zip(places, size, strides, dilation, strict=True):
        if n is None and s > 1:
            raise Unfit("padding='same' with strides needs a known size; type input_shape=...")
        both.append(same_padding(n or 0, k, s, d))
    if all(first == last for first, last in both):
        return [], tuple(first for first, _ in both)
    flat = [n for pair in reversed(both) for n in pair]
    return [getattr(nn, f"ConstantPad{rank}d")(tuple(flat), 0.0)], (0,) * rank


def transposed(layer: Any) -> list[nn.Module]:
    """A transposed convolution."""
    extra, cropped = [], []
    for reach, stride in zip(layer.reaches(), layer.strides, strict=True):
        over = reach - stride
        if layer.padding == "valid":
            extra.append(max(-over, 0))
            cropped.append(0)
        else:
            if over > 0 and over % 2:
                raise Unfit("padding='same' with an uneven margin")
            extra.append(max(-over, 0))
            cropped.append(max(over, 0) // 2)
    bias = bias_of(layer)
    made = getattr(nn, f"ConvTranspose{layer.rank}d")(
        layer.kernel.shape[0], layer.filters, layer.kernel_size, layer.strides, tuple(cropped),
        tuple(extra), 1, bias is not None, layer.dilation_rate,
    )  # fmt: skip
    return [filled(made, weight=layer.kernel, **({} if bias is None else {"bias": bias}))]


def pooling(layer: Any, places: tuple[int | None, ...]) -> list[nn.Module]:
    """A pooling window."""
    if layer.padding == "same" and None in places:
        raise Unfit("padding='same' needs a known size; type input_shape=...")
    padding, left_out = layer.margins(places)
    if any(left_out):
        raise Unfit("padding='same' with strides of one and an even window")
    kind = "MaxPool" if "Max" in type(layer).__name__ else "AvgPool"
    told: dict[str, Any] = {"padding": padding, "ceil_mode": layer.padding == "same"}
    if kind == "AvgPool":
        told["count_include_pad"] = False
    made = getattr(nn, f"{kind}{layer.rank}d")
    if layer.rank == 1:
        return [made(layer.pool_size[0], layer.strides[0], **{**told, "padding": padding[0]})]
    return [made(layer.pool_size, layer.strides, **told)]


def batch_norm(layer: Any, rank: int) -> nn.Module:
    """Normalisation over the batch: torch's momentum is the share of the new."""
    kind = {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[rank]
    made = kind(len(layer.moving_mean), layer.epsilon, 1 - layer.momentum)
    gamma, beta = layer.pair()
    return filled(
        made, weight=torch.ones_like(layer.moving_mean) if gamma is None else gamma, bias=beta,
        running_mean=layer.moving_mean, running_var=layer.moving_variance,
    )  # fmt: skip


def normalization(made: Any, layer: Any) -> nn.Module:
    """A layer or group normalisation with its scale and shift."""
    gamma, beta = layer.pair()
    scale = torch.ones_like(made.weight) if gamma is None else gamma
    return filled(made, weight=scale, bias=beta)


def recurrent(layer: Any) -> nn.Module:
    """One direction of a recurrent layer."""
    kind = type(layer).__name__
    plain = kind == "SimpleRNN" or layer.recurrent_activation == "sigmoid"
    known = layer.activation == "tanh" or (kind == "SimpleRNN" and layer.activation == "relu")
    if not (plain and known and getattr(layer, "reset_after", True)):
        raise Unfit("only the usual activations, and reset_after=True, have a module")
    if layer.return_state or layer.dropout or layer.recurrent_dropout:
        raise Unfit("return_state and dropout inside have no module")
    told = {"batch_first": True, "bias": layer.use_bias}
    size = (layer.kernel.shape[1], layer.units)
    made: Any
    if kind == "SimpleRNN":
        made = nn.RNN(*size, nonlinearity=layer.activation, **told)
    else:
        made = getattr(nn, kind)(*size, **told)
    weights = layer.flat_weights()
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    return filled(made, **dict(zip(names, weights, strict=False)))
