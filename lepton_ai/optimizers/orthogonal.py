"""Steps of matrices in which all directions are equally long."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Unpack

import torch
from torch import Tensor

from lepton_ai.errors import ConfigError
from lepton_ai.optimizers.groups import Group, split
from lepton_ai.optimizers.optimizer import Common, Optimizer
from lepton_ai.optimizers.schedule_objects import LearningRateSchedule
from lepton_ai.optimizers.torch_optimizer import TorchOptimizer, adam_directions, kept
from lepton_ai.registry import near_miss

variants = {"muon": "Muon"}
_PRECISIONS = ("auto", "float32", "bfloat16")


class Muon(Optimizer):
    """Muon: momentum made orthogonal by Newton-Schulz (Jordan et al. 2024; Liu et al. 2025).

    Matrices follow Muon; kernels of convolutions too, as matrices of one row for each filter.
    Vectors, tables of embeddings and what ``exclude_layers`` names follow AdamW. Embeddings and
    names are known when ``make`` is given ``named_parameters()``.

    Args:
        learning_rate: Size of the steps of both.
        adam_beta_1: How much of the mean of the gradients stays, for AdamW.
        adam_beta_2: How much of the mean of their squares stays, for AdamW.
        adam_weight_decay: The decay of matrices that follow AdamW.
        epsilon: Keeps AdamW's denominator away from 0.
        weight_decay: The decay of matrices that follow Muon.
        exclude_layers: Patterns (regular expressions); parameters in whose names one is found
            follow AdamW. The last layer is usually one of them.
        exclude_embeddings: Whether parameters with "embedding" in their names follow AdamW.
        muon_a: First coefficient of the iteration.
        muon_b: Second coefficient.
        muon_c: Third coefficient.
        adam_lr_ratio: AdamW's rate, and with it the size of its decay, as a multiple of Muon's.
        momentum: How much of the gathered gradients stays in each step.
        ns_steps: Rounds of the iteration.
        nesterov: Whether the gradient counts as if the momentum had been followed already.
        rms_rate: Size of a matrix's steps, as that of AdamW's (0.2); ``None`` leaves the length of
            an orthogonal matrix.
        precision: Of the iteration: ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 on cards
            that have it.
        common: See :class:`~lepton_ai.optimizers.optimizer.Optimizer`.

    Example:
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Linear(8, 4))
        >>> made = Muon(0.02).make(network.named_parameters())
        >>> [(len(group["params"]), group["muon"]) for group in made.param_groups]
        [(2, True), (2, False)]
    """

    def __init__(
        self, learning_rate: float | LearningRateSchedule = 0.001, adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999, adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7, weight_decay: float | None = 0.004, *,
        exclude_layers: Sequence[str] | None = None, exclude_embeddings: bool = True,
        muon_a: float = 3.4445, muon_b: float = -4.775, muon_c: float = 2.0315,
        adam_lr_ratio: float = 1.0, momentum: float = 0.95, ns_steps: int = 5,
        nesterov: bool = True, rms_rate: float | None = 0.2, precision: str = "auto",
        **common: Unpack[Common],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay, **common)
        self.adam_beta_1, self.adam_beta_2, self.epsilon = adam_beta_1, adam_beta_2, epsilon
        self.adam_weight_decay, self.adam_lr_ratio = adam_weight_decay, adam_lr_ratio
        self.exclude_layers, self.exclude_embeddings = exclude_layers, bool(exclude_embeddings)
        self.muon_a, self.muon_b, self.muon_c = muon_a, muon_b, muon_c
        self.momentum, self.ns_steps, self.nesterov = momentum, ns_steps, bool(nesterov)
        self.rms_rate, self.precision = rms_rate, precision
        self._check_muon()

    def _check_muon(self) -> None:
        self._expect_share("adam_beta_1", "adam_beta_2", "momentum")
        self._expect_above_0("epsilon", "adam_lr_ratio")
        if self.rms_rate is not None:
            self._expect_above_0("rms_rate")
        if self.adam_weight_decay is not None:
            self._expect_at_least_0("adam_weight_decay")
        self._demand(lambda value: True, "as a number", "muon_a", "muon_b", "muon_c")
        whole = isinstance(self.ns_steps, int) and not isinstance(self.ns_steps, bool)
        if not (whole and 1 <= self.ns_steps <= 100):
            raise ConfigError(
                f"Expected ns_steps as a whole number from 1 to 100; received {self.ns_steps!r}. "
                "Type ns_steps=5, for example."
            )
        if self.precision not in _PRECISIONS:
            raise ConfigError(
                f"Expected precision out of {', '.join(_PRECISIONS)}; received "
                f"{self.precision!r}.{near_miss(str(self.precision), _PRECISIONS)}"
            )
        if self.exclude_layers is not None:
            given = self.exclude_layers
            if isinstance(given, str) or not all(_is_pattern(one) for one in given):
                raise ConfigError(
                    "Expected exclude_layers as a list of regular expressions; received "
                    f"{given!r}. Type exclude_layers=['head'], for example."
                )
            self.exclude_layers = list(given)

    def make(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        groups = [part for group in self._read(parameters) for part in self._parts(group)]
        return _Muon(
            groups, beta_1=self.adam_beta_1, beta_2=self.adam_beta_2, epsilon=self.epsilon,
            coefficients=(self.muon_a, self.muon_b, self.muon_c), momentum=self.momentum,
            rounds=self.ns_steps, nesterov=self.nesterov, size=self.rms_rate,
            precision=_PRECISIONS.index(self.precision),
        )  # fmt: skip

    def _parts(self, group: Group) -> list[dict[str, Any]]:
        """Muon's and AdamW's parts of a group."""
        if self.exclude_layers and not group.names:
            raise ConfigError(
                f"Expected named parameters, since exclude_layers={self.exclude_layers!r} goes by "
                "names; received tensors. Type optimizer.make(model.named_parameters())."
            )
        names = group.names or [""] * len(group.parameters)
        chosen = [
            _is_matrix(parameter) and not self._is_excluded(name)
            for name, parameter in zip(names, group.parameters, strict=True)
        ]
        parts = []
        for muon in (True, False):
            own = [p for p, c in zip(group.parameters, chosen, strict=True) if c is muon]
            if not own:
                continue
            rate = group.rate * (1 if muon else self.adam_lr_ratio)
            decay = (self.weight_decay if muon else self.adam_weight_decay) or 0.0
            part = Group(own, [], rate, group.weight_decay)
            parts += [{**made, "muon": muon} for made in split(part, decay)]
        return parts

    def _is_excluded(self, name: str) -> bool:
        if self.exclude_embeddings and "embedding" in name.lower():
            return True
        return any(re.search(pattern, name) for pattern in self.exclude_layers or ())


def _is_pattern(given: Any) -> bool:
    try:
        return isinstance(given, str) and re.compile(given) is not None
    except re.error:
        return False


def _is_matrix(parameter: Tensor) -> bool:
    """Whether there are several rows and columns, the filters of a kernel counting as rows."""
    return parameter.ndim > 1 and min(parameter.flatten(1).shape) > 1


class _Muon(TorchOptimizer):
    def begin(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        names = ("momentum",) if group["muon"] else ("momentum", "velocity")
        return {name: torch.zeros_like(parameter) for name in names}

    def move(
        self, group: dict[str, Any], weights: list[Tensor], slopes: list[Tensor],
        states: list[dict[str, Any]],
    ) -> None:  # fmt: skip
        if not group["muon"]:
            betas = (group["beta_1"], group["beta_2"])
            steps = adam_directions(slopes, states, betas, group["epsilon"])
            torch._foreach_add_(weights, steps, alpha=-group["lr"])
            return
        gathered = kept(states, "momentum")
        torch._foreach_mul_(gathered, group["momentum"])
        torch._foreach_add_(gathered, slopes)
        if group["nesterov"]:
            gathered = torch._foreach_mul(gathered, group["momentum"])
            torch._foreach_add_(gathered, slopes)
        kind = _working_type(weights[0], group["precision"])
        planes = [one.flatten(1).to(kind) for one in gathered]
        lying = [one.mT if one.shape[0] > one.shape[1] else one for one in planes]
        for places in _by_shape(lying):
            stacked = torch.stack([lying[place] for place in places])
            made = orthogonal(stacked, group["coefficients"], group["rounds"])
            for place, step in zip(places, made.unbind(), strict=True):
                back = step.mT if lying[place].shape != planes[place].shape else step
                longest = max(step.shape) ** 0.5
                size = 1.0 if group["size"] is None else group["size"] * longest
                weight = weights[place]
                weight.add_(back.reshape(weight.shape).to(weight.dtype), alpha=-group["lr"] * size)


def _working_type(weight: Tensor, precision: int) -> torch.dtype:
    wish = _PRECISIONS[precision]
    if wish == "auto":
        fast = weight.is_cuda and torch.cuda.is_bf16_supported()
        wish = "bfloat16" if fast else "float32"
    if wish == "bfloat16":
        return torch.bfloat16
    return torch.promote_types(weight.dtype, torch.float32)


def _by_shape(matrices: list[Tensor]) -> list[list[int]]:
    """The places of matrices of one shape, which are worked on at once."""
    found: dict[torch.Size, list[int]] = {}
    for place, matrix in enumerate(matrices):
        found.setdefault(matrix.shape, []).append(place)
    return list(found.values())


def orthogonal(
    matrices: Tensor, coefficients: Sequence[float] = (3.4445, -4.775, 2.0315), rounds: int = 5
) -> Tensor:
    """Matrices with the same singular vectors whose singular values are all about 1.

    A quintic Newton-Schulz iteration (Jordan et al. 2024): with these coefficients it is quick and
    ends between about 0.7 and 1.2.

    Args:
        matrices: ``[count, rows, columns]``, no more rows than columns.
        coefficients: Of the first, third and fifth power.
        rounds: How often they are applied.

    Example:
        >>> made = orthogonal(torch.diag(torch.tensor([3.0, 1.0]))[None])[0]
        >>> bool((made.diagonal() - 1).abs().max() < 0.35)
        True
    """
    a, b, c = coefficients
    norms = torch.linalg.vector_norm(matrices, dim=(-2, -1), keepdim=True)
    x = matrices / (norms + 1e-7)
    for _ in range(rounds):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x
