"""Preserving: whatever is tried on a model inside a block leaves it as it was, bit for bit."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def preserved(module: nn.Module) -> Generator[None]:
    """Weights, buffers, gradients, modes and torch's random state are put back in the end.

    Args:
        module: What is tried; its parameters stay the same objects in the same memory.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> before = layer.weight.detach().clone()
        >>> with preserved(layer), torch.no_grad():
        ...     _ = layer.weight.fill_(7.0)
        >>> bool((layer.weight == before).all())
        True
    """
    parameters = [(p, p.detach().clone(), p.grad, p.requires_grad) for p in module.parameters()]
    gradients = [None if grad is None else grad.detach().clone() for _, _, grad, _ in parameters]
    buffers = [
        (owner, name, value, value.detach().clone())
        for owner in module.modules()
        for name, value in owner._buffers.items()
        if value is not None
    ]
    modes = [(owner, owner.training) for owner in module.modules()]
    state = torch.random.get_rng_state()
    cards = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    try:
        yield
    finally:
        with torch.no_grad():
            for (parameter, value, grad, wanted), kept in zip(parameters, gradients, strict=True):
                parameter.requires_grad_(wanted)
                parameter.copy_(value)
                if grad is not None and kept is not None:
                    grad.copy_(kept)
                parameter.grad = grad
            for owner, name, buffer, value in buffers:
                owner._buffers[name] = buffer.copy_(value)
        for owner, training in modes:
            owner.training = training
        torch.random.set_rng_state(state)
        if cards:
            torch.cuda.set_rng_state_all(cards)
