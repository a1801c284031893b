"""The numbers of a network, out of it and into it again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lepton_ai.errors import TrainingError


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers by name, those that ``state_dict`` leaves out too."""
    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: tensor.detach() for name, tensor in named.items()}


@torch.no_grad()
def put_tensors(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Copy values into the parameters and buffers of a module.

    Raises:
        TrainingError: They are those of another model; nothing was changed then.
    """
    own = tensors_of(module)
    odd = {n: tuple(t.shape) for n, t in own.items()}.items() ^ {
        n: tuple(t.shape) for n, t in tensors.items()
    }.items()
    if odd:
        name = sorted(odd)[0][0]
        raise TrainingError(
            f"Expected a checkpoint of this model; {name!r} differs. Train with resume=None, or "
            "build the model as it was."
        )
    for name, tensor in own.items():
        tensor.copy_(tensors[name])


def forget_carried(module: nn.Module) -> None:
    """Let stateful recurrent layers begin from zeros, as at the beginning of an epoch."""
    for part in module.modules():
        reset: Any = getattr(part, "reset_states", None)
        if getattr(part, "stateful", False) and reset is not None:
            reset()


def carried_of(module: nn.Module) -> dict[str, Any]:
    """What stateful recurrent layers carry from batch to batch, by the name of the layer."""
    found = {}
    for name, part in module.named_modules():
        carried = getattr(part, "_carried", None)
        if carried is not None:
            found[name] = [state.detach() for state in carried]
    return found


def put_carried(module: nn.Module, carried: dict[str, Any]) -> None:
    """The way back from :func:`carried_of`."""
    parts = dict(module.named_modules())
    for name, states in carried.items():
        layer: Any = parts[name]
        layer.reset_states(states)
