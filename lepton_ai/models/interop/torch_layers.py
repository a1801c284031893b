"""Layers that are modules of ``torch.nn`` and nothing else."""

from __future__ import annotations

from typing import Any

from torch import nn

from lepton_ai.layers.layout import dimension
from lepton_ai.models.interop import torch_modules as modules
from lepton_ai.models.interop.torch_modules import Unfit


def plain_modules(layer: Any) -> list[nn.Module] | None:
    """The modules that are a layer, where it needs nothing else.

    Raises:
        Unfit: Its arguments have no twin.
    """
    kind, shape = type(layer).__name__, layer.input_shape_
    rank = len(shape) + 1 if shape and not isinstance(shape[0], tuple) else 0
    if kind == "Dense":
        made = modules.linear(layer.kernel, modules.bias_of(layer))
        return [made, *modules.activation(layer.activation, rank)]
    if kind in ("Conv2D", "Conv3D"):
        bias = modules.bias_of(layer)
        found = modules.convolution(layer, layer.kernel, bias, layer.groups, shape[:-1])
        return [*found, *modules.activation(layer.activation, rank)]
    if kind == "DepthwiseConv2D":
        bias = modules.bias_of(layer)
        found = modules.convolution(layer, layer.kernel, bias, shape[-1], shape[:-1])
        return [*found, *modules.activation(layer.activation, rank)]
    if kind == "SeparableConv2D":
        return separable(layer, shape)
    if kind in ("Conv2DTranspose", "Conv3DTranspose"):
        return [*modules.transposed(layer), *modules.activation(layer.activation, rank)]
    if kind in ("MaxPooling2D", "MaxPooling3D", "AveragePooling2D", "AveragePooling3D"):
        return modules.pooling(layer, shape[:-1])
    if kind.startswith("Global") and kind.endswith(("2D", "3D")):
        name = "AdaptiveMaxPool" if "Max" in kind else "AdaptiveAvgPool"
        pooled = getattr(nn, f"{name}{kind[-2]}d")(1)
        return [pooled] if layer.keepdims else [pooled, nn.Flatten()]
    return _pointwise(layer, kind, rank) or _normalized(layer, kind, rank)


def separable(layer: Any, shape: Any) -> list[nn.Module]:
    """A convolution of each channel, then one that mixes them."""
    apart = modules.convolution(layer, layer.depthwise_kernel, None, shape[-1], shape[:-1])
    single = (1,) * layer.rank
    mixed = modules.convolution(
        layer, layer.pointwise_kernel, modules.bias_of(layer), 1, shape[:-1], strides=single,
        dilation=single, padding="valid",
    )  # fmt: skip
    return [*apart, *mixed, *modules.activation(layer.activation, layer.rank + 2)]


def _pointwise(layer: Any, kind: str, rank: int) -> list[nn.Module] | None:
    made: nn.Module | None = None
    if kind == "Activation":
        return modules.activation(layer.activation, rank) or [nn.Identity()]
    if kind == "ReLU" and layer.threshold == 0 and layer.max_value is None:
        made = nn.LeakyReLU(layer.negative_slope) if layer.negative_slope else nn.ReLU()
    elif kind == "ReLU" and not layer.threshold and not layer.negative_slope:
        made = nn.Hardtanh(0.0, layer.max_value)
    elif kind == "LeakyReLU":
        made = nn.LeakyReLU(layer.negative_slope)
    elif kind == "ELU":
        made = nn.ELU(layer.alpha)
    elif kind == "PReLU" and rank != 3:
        slopes = layer.alpha.flatten()
        if len(slopes) not in (1, layer.input_shape_[-1]):
            raise Unfit("slopes of its own for each place")
        made = modules.filled(nn.PReLU(len(slopes)), weight=slopes)
    elif kind == "Softmax":
        made = nn.Softmax(dimension(layer.axis, rank))
    elif kind == "Dropout":
        made = nn.Dropout(layer.rate)
    elif kind in ("SpatialDropout2D", "SpatialDropout3D"):
        made = getattr(nn, f"Dropout{kind[-2]}d")(layer.rate)
    elif kind in ("Identity", "InputLayer"):
        made = nn.Identity()
    elif kind == "Embedding":
        if layer.mask_zero:
            raise Unfit("mask_zero: what comes after it would have to know the lengths")
        made = nn.Embedding(layer.input_dim, layer.output_dim)
        modules.filled(made, weight=layer.embeddings)
    elif kind in ("ZeroPadding2D", "ZeroPadding3D", "Cropping2D", "Cropping3D"):
        crop = kind.startswith("Crop")
        pairs = layer.cropping if crop else layer.padding
        flat = [-n if crop else n for pair in reversed(pairs) for n in pair]
        made = getattr(nn, f"ConstantPad{kind[-2]}d")(tuple(flat), 0.0)
    elif kind in ("UpSampling2D", "UpSampling3D"):
        factors = tuple(float(n) for n in layer.size)
        made = nn.Upsample(scale_factor=factors, mode=layer.interpolation)
    return None if made is None else [made]


def _normalized(layer: Any, kind: str, rank: int) -> list[nn.Module] | None:
    if kind == "BatchNormalization" and rank != 3 and layer.axis in (-1, rank - 1):
        return [modules.batch_norm(layer, rank - 2)]
    if kind == "LayerNormalization" and rank < 4 and layer.axes(rank) == [rank - 1]:
        return [modules.normalization(nn.LayerNorm(layer.input_shape_[-1], layer.epsilon), layer)]
    if kind == "GroupNormalization" and rank != 3 and layer.axis in (-1, rank - 1):
        width = layer.input_shape_[-1]
        groups = width if layer.groups == -1 else layer.groups
        return [modules.normalization(nn.GroupNorm(groups, width, layer.epsilon), layer)]
    return None
