"""Layering: the layers of a model, which of them learn and how fast, and their weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lepton_ai.errors import ConfigError, NotReadyError, ShapeError
from lepton_ai.layers.layer import Layer
from lepton_ai.models.graph import Graph
from lepton_ai.models.tracing import free_name, keras_order
from lepton_ai.registry import near_miss
from lepton_ai.tasks.supervised import Supervised


class Layered:
    """What models offer over their layers; mixed into :class:`~lepton_ai.models.model.Model`."""

    learning_rates: dict[str, float]
    _wishes: list[tuple[bool, list[str] | None, dict[str, Any]]]

    # -- the layers ------------------------------------------------------------------------

    def named_layers(self) -> dict[str, nn.Module]:
        """The layers by name, in order; a backbone's stages and the head count as layers.

        Raises:
            NotReadyError: There are none yet.
        """
        model: Any = self
        if hasattr(model, "call"):
            named = {n: m for n, m in model.named_children() if n not in ("network", "head")}
        elif model.network is not None:
            named = _stages(model.network)
        elif model.given is not None:
            named = _stages(model.given)
        else:
            raise NotReadyError(
                "Expected a model whose layers are there; this one is built when it meets data. "
                "Type: model.fit(data), or model.bind(data)."
            )
        if model.head is not None and any(True for _ in model.head.parameters()):
            named["head"] = model.head
        return named

    @property
    def layers(self) -> list[Any]:
        """The layers, in order."""
        own = vars(self)["_modules"].get("layers")
        if own is not None:  # a class of the user's own may call something so
            return own
        return list(self.named_layers().values())

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """A layer by its name or its number.

        Raises:
            ConfigError: There is no such layer; the near miss is offered.
        """
        named = self.named_layers()
        if index is not None:
            if not -len(named) <= index < len(named):
                raise ConfigError(
                    f"Expected an index below {len(named)}, the number of layers; received {index}."
                )
            return list(named.values())[index]
        if name not in named:
            raise ConfigError(
                f"Expected the name of a layer, one of {', '.join(named)}; received {name!r}."
                f"{near_miss(str(name), named)}"
            )
        return named[name]

    # -- which of them learn ---------------------------------------------------------------

    def freeze(
        self, layers: str | Sequence[str] | None = None, *, up_to: str | None = None,
        except_last: int = 0,
    ) -> Any:  # fmt: skip
        """Keep the weights of layers as they are; gives the model itself.

        Batch normalisations that are frozen use their moving averages, as in Keras.

        Args:
            layers: Names of layers; ``None`` freezes all that the rest says.
            up_to: The last layer to freeze; those after it learn.
            except_last: How many of the last layers with weights learn.

        Raises:
            ConfigError: There is no such layer.
        """
        names = [layers] if isinstance(layers, str) else layers
        chosen = {"up_to": up_to, "except_last": except_last}
        return self._wish(False, None if names is None else list(names), chosen)

    def unfreeze(self, layers: str | Sequence[str] | None = None) -> Any:
        """Let layers learn again, all of them without names; gives the model itself."""
        names = [layers] if isinstance(layers, str) else layers
        return self._wish(True, None if names is None else list(names), {})

    @property
    def trainable(self) -> bool:
        """Whether some of it learns; setting it freezes all, or lets all learn."""
        model: Any = self
        self.settle_trainable()
        return any(p.requires_grad for p in model.parameters())

    @trainable.setter
    def trainable(self, learns: bool) -> None:
        self._wish(bool(learns), None, {})

    def _wish(self, learns: bool, names: list[str] | None, chosen: dict[str, Any]) -> Any:
        model: Any = self
        wish = (learns, names, chosen)
        compiled = model._task is None or isinstance(model._task, Supervised)
        try:
            if not model.bound and not compiled:
                raise NotReadyError("The head of a task is a layer too, and is not there yet.")
            self._grant(*wish)
        except NotReadyError:
            self._wishes.append(wish)  # once the layers are there
        return self

    def _grant(self, learns: bool, names: list[str] | None, chosen: dict[str, Any]) -> None:
        named: dict[str, Any] = dict(self.named_layers())
        picked = list(named)
        if names is not None:
            picked = names
            for name in names:
                self.get_layer(name)
        if chosen.get("up_to") is not None:
            self.get_layer(chosen["up_to"])
            picked = picked[: picked.index(chosen["up_to"]) + 1]
        if chosen.get("except_last"):
            heavy = [n for n in picked if any(True for _ in named[n].parameters())]
            kept = set(heavy[-int(chosen["except_last"]) :])
            picked = [name for name in picked if name not in kept]
        for name in picked:
            for part in named[name].modules():
                part.trainable = learns
        self.settle_trainable()

    def grant_wishes(self) -> None:
        """Freeze what was asked to be frozen before the layers were there."""
        wishes, self._wishes = self._wishes, []
        for wish in wishes:
            self._grant(*wish)
        self.settle_trainable()

    def settle_trainable(self) -> None:
        """Make the weights follow ``layer.trainable``, wherever it was set."""
        try:
            layers = list(self.named_layers().values())
        except NotReadyError:
            return
        for layer in layers:
            _settle(layer, frozen=False)

    # -- how fast they learn ---------------------------------------------------------------

    def parameter_groups(
        self, learning_rate: float, weight_decay: float | None = None
    ) -> list[dict[str, Any]]:
        """The parameters that learn, in groups with rates of their own, as torch's optimisers read.

        A layer has ``fit(learning_rates={"its name": rate})``, or ``layer.learning_rate_scale`` and
        ``layer.weight_decay_scale``, which multiply those of the optimiser. The longest name that
        begins the name of a parameter or of its layer holds.

        Args:
            learning_rate: The optimiser's.
            weight_decay: Its weight decay, where it has one.

        Raises:
            ConfigError: Nothing learns, or a name fits no layer.
        """
        model: Any = self
        self.settle_trainable()
        learning = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        if not learning:
            raise ConfigError(
                "Expected some weights to learn; all layers are frozen, or none has weights. Type: "
                "model.unfreeze(), or model.freeze(except_last=1)."
            )
        owners = self._owners()
        self._check_rates(owners, [name for name, _ in learning])
        groups: dict[tuple[float | None, float | None], list[Tensor]] = {}
        for name, parameter in learning:
            layer, rate_scale, decay_scale = owners.get(id(parameter), ("", 1.0, 1.0))
            rate = self._rate(name, layer)
            if rate is None and rate_scale != 1.0:
                rate = learning_rate * rate_scale
            decay = None
            if decay_scale != 1.0 and weight_decay:
                decay = weight_decay * decay_scale if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
        made = []
        for (rate, decay), parameters in groups.items():
            group: dict[str, Any] = {"params": parameters}
            if rate is not None:
                group["lr"] = rate
            if decay is not None:
                group["weight_decay"] = decay
            made.append(group)
        return made

    def _owners(self) -> dict[int, tuple[str, float, float]]:
        """The layer of each parameter, with the scales that hold for it."""
        owners: dict[int, tuple[str, float, float]] = {}

        def visit(name: str, module: nn.Module, rate: float, decay: float) -> None:
            rate = float(getattr(module, "learning_rate_scale", rate))
            decay = float(getattr(module, "weight_decay_scale", decay))
            for parameter in module.parameters(recurse=False):
                owners.setdefault(id(parameter), (name, rate, decay))
            for child in module.children():
                visit(name, child, rate, decay)

        for name, layer in self.named_layers().items():
            visit(name, layer, 1.0, 1.0)
        return owners

    def _rate(self, name: str, layer: str) -> float | None:
        fitting = [key for key in self.learning_rates if _begins(key, layer) or _begins(key, name)]
        return self.learning_rates[max(fitting, key=len)] if fitting else None

    def _check_rates(self, owners: dict[int, tuple[str, float, float]], names: list[str]) -> None:
        layers = list(dict.fromkeys(layer for layer, _, _ in owners.values()))
        for key, rate in self.learning_rates.items():
            if not any(_begins(key, name) for name in (*layers, *names, *self.named_layers())):
                raise ConfigError(
                    f"Expected learning_rates for layers, out of {', '.join(layers)}; received "
                    f"{key!r}.{near_miss(key, layers)}"
                )
            if isinstance(rate, bool) or not isinstance(rate, (int, float)) or rate < 0:
                raise ConfigError(
                    f"Expected a learning rate of at least 0 for {key!r}; received {rate!r}. To "
                    f"keep it as it is type: model.freeze({key!r})."
                )

    # -- weights ---------------------------------------------------------------------------

    def count_params(self, *, trainable: bool | None = None) -> int:
        """How many numbers the weights hold, moving averages included, as in Keras.

        Args:
            trainable: ``True`` counts those that learn, ``False`` the others, ``None`` all.
        """
        self.settle_trainable()
        learned, kept = counts(nn.ModuleList(self.named_layers().values()))
        return learned + kept if trainable is None else learned if trainable else kept

    def get_weights(self) -> list[np.ndarray]:
        """The weights as arrays, in Keras's order and layout."""
        return [array for layer in self.named_layers().values() for array in _arrays(layer)]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Take weights in the order and layout of :meth:`get_weights`.

        Raises:
            ShapeError: Not as many arrays, or one of another shape; nothing is changed then.
        """
        expected = [array.shape for array in self.get_weights()]
        received = [np.shape(array) for array in weights]
        if expected != received:
            odd = next(
                (i for i, (a, b) in enumerate(zip(expected, received, strict=False)) if a != b),
                min(len(expected), len(received)),
            )
            raise ShapeError(
                f"Expected {len(expected)} arrays as model.get_weights() gives them; received "
                f"{len(received)}, the first that differs is number {odd}: "
                f"{received[odd] if odd < len(received) else 'missing'} in the place of "
                f"{expected[odd] if odd < len(expected) else 'nothing'}."
            )
        left = list(weights)
        for layer in self.named_layers().values():
            left = _take(layer, left)


def _begins(key: str, name: str) -> bool:
    return name == key or name.startswith((f"{key}.", f"{key}_", f"{key}/")) or (
        bool(key) and key.endswith(("_", ".", "/")) and name.startswith(key)
    )  # fmt: skip


def _stages(network: Any) -> dict[str, nn.Module]:
    """The layers of a network: those of a graph or a chain, else its children."""
    inner = getattr(network, "module", network)
    if isinstance(inner, Graph):
        return dict(keras_order(inner))
    named: dict[str, nn.Module] = {}
    for name, child in inner.named_children():
        if isinstance(child, (nn.Sequential, nn.ModuleList)):
            named |= {f"{name}.{place}": one for place, one in child.named_children()}
        else:
            named[name] = child
    return named or {free_name(inner, ()): inner}


def _settle(module: Any, *, frozen: bool) -> None:
    said = getattr(module, "trainable", None)
    frozen = frozen or said is False
    still = bool(getattr(module, "held_still", False))
    for parameter in module.parameters(recurse=False):
        if frozen:
            parameter.requires_grad_(False)
        elif (said is True or still) and parameter.is_floating_point():
            parameter.requires_grad_(True)
    if frozen or still:
        module.held_still = frozen
    for child in module.children():
        _settle(child, frozen=frozen)


def hold_still(model: nn.Module) -> None:
    """Put frozen modules that normalise by the batch into inference mode."""
    for part in model.modules():
        if getattr(part, "held_still", False) and (
            isinstance(part, nn.modules.batchnorm._BatchNorm)
            or getattr(part, "uses_batch_statistics", False)
        ):
            part.training = False


def counts(module: nn.Module) -> tuple[int, int]:
    """How many numbers of a module learn, and how many are kept: frozen ones, moving averages."""
    parameters = list({id(p): p for p in module.parameters()}.values())
    learned = sum(p.numel() for p in parameters if p.requires_grad)
    frozen = sum(p.numel() for p in parameters) - learned
    names = set(module.state_dict())
    buffers = {id(b): b for n, b in module.named_buffers() if n in names and b.is_floating_point()}
    return learned, frozen + sum(b.numel() for b in buffers.values())


def _arrays(layer: nn.Module) -> list[np.ndarray]:
    if isinstance(layer, Layer):
        return [] if type(layer).__name__ == "InputLayer" else layer.keras_weights()
    return [tensor.detach().cpu().numpy() for tensor in _own(layer)]


def _own(layer: nn.Module) -> list[Tensor]:
    names = set(layer.state_dict())
    kept = [b for n, b in layer.named_buffers() if n in names and b.is_floating_point()]
    return [*layer.parameters(), *kept]


@torch.no_grad()
def _take(layer: nn.Module, left: list[Any]) -> list[Any]:
    """Give a layer its part of the weights; the rest is returned."""
    count = len(_arrays(layer))
    if isinstance(layer, Layer):
        if count:
            layer.load_keras_weights([np.asarray(array) for array in left[:count]])
    else:
        for tensor, array in zip(_own(layer), left[:count], strict=True):
            tensor.copy_(torch.as_tensor(np.asarray(array), dtype=tensor.dtype))
    return left[count:]
