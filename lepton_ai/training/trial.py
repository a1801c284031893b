"""Trial: a batch run through a model forwards and back, watched, and the model left as it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lepton_ai.data.encoding import Encoded
from lepton_ai.layers.randomness import drawing_from
from lepton_ai.training.preserving import preserved

EXAMPLES = 256
"""Examples that a trial takes at most."""
NUMBERS = 8_000_000
"""Input numbers that a trial takes at most."""
_RELUS = ("relu", "relu_", "relu6", "threshold", "threshold_")


@dataclass
class Units:
    """Units behind a ReLU, and which of them gave something for some example."""

    path: str
    kind: str
    alive: Tensor


@dataclass
class Trial:
    """What a batch showed.

    Attributes:
        outputs: What the head gave, as it answers (no dropout).
        columns: The batch.
        loss: Its loss as the model answers.
        training_loss: Its loss as the model is trained.
        gradients: By name of the parameter; ``None`` where none arrived.
        units: What stood behind each ReLU.
    """

    outputs: dict[str, Tensor] = field(default_factory=dict)
    columns: dict[str, Tensor] = field(default_factory=dict)
    loss: float = float("nan")
    training_loss: float = float("nan")
    gradients: dict[str, Tensor | None] = field(default_factory=dict)
    units: list[Units] = field(default_factory=list)


def sample_of(encoded: Encoded, seed: int = 0) -> np.ndarray:
    """Places of the examples that a trial takes."""
    first = encoded.batch(np.arange(min(1, len(encoded))))
    size = max(sum(value.numel() for value in first.values()), 1)
    count = max(min(EXAMPLES, len(encoded), NUMBERS // size), min(8, len(encoded)))
    if count == len(encoded):
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(len(encoded), count, replace=False))


def run_trial(model: Any, encoded: Encoded, *, seed: int = 0) -> Trial:
    """Run a batch through a model, as it answers and as it is trained."""
    columns = encoded.batch(sample_of(encoded, seed))
    columns = {name: value.to(model.device) for name, value in columns.items()}
    trial = Trial(columns=columns)
    with preserved(model):
        for parameter in model.parameters():
            parameter.grad = None
        model.eval()
        watch = _Watch(model)
        with torch.no_grad(), watch:
            trial.outputs = model(columns)
            trial.loss = mean_loss(model, trial.outputs, columns)
        trial.units = list(watch.units.values())
        model.train()
        trial.training_loss = run_batch(model, columns, seed=seed)
        trial.gradients = {
            name: None if p.grad is None else p.grad.detach().clone()
            for name, p in model.named_parameters()
            if p.requires_grad
        }
    return trial


def run_batch(model: Any, columns: dict[str, Tensor], *, seed: int = 0) -> float:
    """Forwards and back as in training; the same seed draws the same."""
    torch.manual_seed(seed)
    with torch.enable_grad(), drawing_from(torch.Generator(model.device).manual_seed(seed)):
        outputs = model(columns, columns)
        sums, counts = model.head.loss(outputs, columns)
        loss = sums.sum() / counts.sum().clamp_min(1)
        if loss.requires_grad:
            loss.backward()
    return float(loss.detach())


def mean_loss(model: Any, outputs: dict[str, Tensor], columns: dict[str, Tensor]) -> float:
    """The mean loss of outputs."""
    sums, counts = model.head.loss(outputs, columns)
    return float(sums.sum() / counts.sum().clamp_min(1))


class _Watch(TorchFunctionMode):
    """Sees every ReLU, as a layer or as a function, and knows behind which layer it stands."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.paths = {id(module): path for path, module in model.named_modules()}
        self.open: list[nn.Module] = []
        self.left: nn.Module | None = None
        self.units: dict[tuple[str, int], Units] = {}
        self.handles: list[Any] = []

    def __enter__(self) -> _Watch:
        for module in self.model.modules():
            self.handles.append(module.register_forward_pre_hook(self._begin))
            self.handles.append(module.register_forward_hook(self._finish))
        super().__enter__()
        return self

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        super().__exit__(exc_type, exc_val, exc_tb)
        for handle in self.handles:
            handle.remove()

    def _begin(self, module: nn.Module, inputs: Any) -> None:
        self.open.append(module)

    def _finish(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self.open.pop()
        self.left = module

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in _RELUS and isinstance(output, Tensor):
            self._seen(output.detach())
        return output

    def _seen(self, output: Tensor) -> None:
        if output.ndim < 2:
            return
        here = self.open[-1] if self.open else self.model
        # a ReLU of its own, or one between layers, belongs to the layer before it
        bare = not list(here.parameters(recurse=False)) and self.left is not None
        owner = self.left if bare and self.left is not None else here
        channels = 1 if output.ndim >= 4 else output.ndim - 1
        others = [axis for axis in range(output.ndim) if axis != channels]
        alive = (output > 0).any(others) if len(others) == 1 else (output > 0).sum(others) > 0
        path = self.paths.get(id(owner), "")
        key = (path, len(alive))
        if key in self.units:
            self.units[key].alive |= alive
        else:
            self.units[key] = Units(path, type(owner).__name__, alive)
