"""Losses, one family a file."""

from typing import Any

from lepton_ai import registry
from lepton_ai.errors import ConfigError, UnknownNameError

__getattr__, __dir__, _names = registry.face("losses")
__all__ = [*_names, "from_config", "get"]

_ALIASES = {
    "mse": "mean_squared_error", "l2": "mean_squared_error",
    "mae": "mean_absolute_error", "l1": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error", "msle": "mean_squared_logarithmic_error",
    "huber_loss": "huber", "smooth_l1": "huber", "logcosh": "log_cosh",
    "cosine": "cosine_similarity", "pinball": "quantile", "quantile_loss": "quantile",
    "kld": "kl_divergence", "kullback_leibler_divergence": "kl_divergence",
    "gaussian": "gaussian_nll", "gaussian_nll_loss": "gaussian_nll",
    "bce": "binary_crossentropy", "binary_cross_entropy": "binary_crossentropy",
    "cce": "categorical_crossentropy", "cross_entropy": "categorical_crossentropy",
    "crossentropy": "categorical_crossentropy",
    "categorical_cross_entropy": "categorical_crossentropy",
    "sparse_categorical_cross_entropy": "sparse_categorical_crossentropy",
    "gce": "categorical_generalized_cross_entropy",
    "focal_loss": "focal", "binary_focal": "binary_focal_crossentropy",
    "categorical_focal": "categorical_focal_crossentropy",
    "dice_loss": "dice", "tversky_loss": "tversky", "lovasz": "lovasz_softmax",
    "ctc_loss": "ctc", "triplet_loss": "triplet", "contrastive_loss": "contrastive",
    "nt_xent": "info_nce", "ntxent": "info_nce", "circle_loss": "circle",
}  # fmt: skip


def get(loss: Any) -> Any:
    """A loss from its name, or itself.

    Raises:
        UnknownNameError: No loss has that name; the near miss is offered.

    Example:
        >>> type(get("mse")).__name__
        'MeanSquaredError'
    """
    if isinstance(loss, str):
        return _lookup(loss)()
    if isinstance(loss, type):
        return loss()
    if callable(loss):
        return loss
    raise ConfigError(f"Expected the name of a loss or a Loss; received {type(loss).__name__}.")


def _lookup(name: str) -> Any:
    try:
        return registry.lookup("losses", _ALIASES.get(name.lower().replace("-", "_"), name))
    except UnknownNameError:
        near = registry.near_miss(name, registry.names("losses")) or registry.near_miss(
            name, _ALIASES
        )
        raise UnknownNameError(
            f"Expected the name of a loss; received {name!r}.{near} "
            f"Known: {', '.join(registry.names('losses'))}."
        ) from None


def from_config(config: dict[str, Any]) -> Any:
    """The loss that ``to_config`` described."""
    arguments = dict(config)
    return registry.lookup("losses", arguments.pop("loss"))(**arguments)
