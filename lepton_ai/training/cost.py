"""What a step costs, and the choices that follow from it alone: precision and replicas.

The choices are made from the network and the batch, never from a clock, so that the same seed gives
the same model on the same machine every time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from lepton_ai.data.encoding import Encoded
from lepton_ai.layers.randomness import drawing_from
from lepton_ai.training.replicas import splits_well
from lepton_ai.training.settings import Settings

WORTH_SPLITTING = 60e6
"""Multiply-adds of a forward pass over a batch from which splitting it over threads gains."""


def multiply_adds(model: Any, encoded: Encoded, batch_size: int) -> float:
    """How many multiplications a forward pass over one batch takes, in its matrix products.

    Counted are dense layers, convolutions, recurrent layers and products of matrices; what goes
    element by element is left out.
    """
    count = min(2, len(encoded))
    was = model.training
    model.eval()
    try:
        columns = encoded.batch(np.arange(count))
        columns = {name: value.to(model.device) for name, value in columns.items()}
        drawing = drawing_from(torch.Generator(model.device))
        with torch.no_grad(), torch.random.fork_rng(), drawing, Products() as counting:
            model(columns)
    finally:
        model.train(was)
    return counting.total / max(count, 1) * batch_size


class Products(TorchDispatchMode):
    """Counts the multiplications of matrix products while a block runs."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.total += _multiplications(func.overloadpacket.__name__, args, result)
        return result


def _multiplications(name: str, args: Any, result: Any) -> int:
    if name in ("mm", "bmm"):
        return args[0].numel() * args[1].shape[-1]
    if name in ("addmm", "baddbmm"):
        return args[1].numel() * args[2].shape[-1]
    if name in ("convolution", "convolution_overrideable", "mkldnn_convolution"):
        given, weight = args[0], args[1]
        transposed = len(args) > 6 and bool(args[6])
        maps = given if transposed else result
        return weight.numel() * (maps.numel() // max(maps.shape[1], 1))
    if name.startswith("_scaled_dot_product"):
        queries, keys = args[0], args[1]
        return 2 * queries.numel() * keys.shape[-2]
    if name.startswith("mkldnn_rnn_layer"):
        given, first, second = args[0], args[1], args[2]
        return (first.numel() + second.numel()) * given.shape[0] * given.shape[1]
    return 0


def replica_count(model: Any, encoded: Encoded, settings: Settings) -> int:
    """How many replicas share a batch: one for each thread where that gains, else one."""
    if model.device.type != "cpu" or model.head.joint or not splits_well(model):
        return 1
    wanted = settings.replicas
    if wanted is None:
        wanted = torch.get_num_threads()
        if wanted > 1 and multiply_adds(model, encoded, settings.batch_size) < WORTH_SPLITTING:
            return 1
    return max(1, min(wanted, settings.batch_size // 8))


_PLAIN = ("lepton_ai.heads.", "lepton_ai.models.binding", "lepton_ai.models.sequential",
          "lepton_ai.models.model", "lepton_ai.models.functional")  # fmt: skip


def draws_numbers(model: nn.Module) -> bool:
    """Whether something in a network may draw random numbers while it is trained.

    Layers of ours say so themselves; of PyTorch's only dropout and its kin do; of anything else it
    is not known, so it may.
    """
    for part in model.modules():
        place = f"{type(part).__module__}."
        if place.startswith("lepton_ai.layers."):
            if getattr(part, "draws", False):
                return True
        elif place.startswith("torch.nn."):
            kind = type(part).__name__
            if "Dropout" in kind or kind == "RReLU" or getattr(part, "dropout", 0):
                return True
        elif not place.startswith(_PLAIN):
            return True
    return False


def choose_precision(model: Any, wish: str) -> str:
    """``"bfloat16"`` or ``"float32"``."""
    if wish != "auto":
        return wish
    if not getattr(model.network, "prefers_bfloat16", False):
        return "float32"
    device = model.device
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    fast = device.type == "cpu" and (
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    )
    return "bfloat16" if fast else "float32"
