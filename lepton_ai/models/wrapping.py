"""Wrapping: any ``nn.Module`` as a model that is compiled, fitted and saved as the others."""

from __future__ import annotations

from typing import Any

from torch import nn

from lepton_ai.errors import ConfigError
from lepton_ai.models.model import Model


def wrap(module: Any, task: Any = None) -> Model:
    """A model of any PyTorch module, as it is.

    Arrays are handed to it as they are (pictures in the order in which the module reads them);
    pictures of a data set come as floats from 0 to 1, channels first. Several inputs come as a dict
    by name. To save it, register its class: ``lai.register("networks", "MyNet", MyNet)``.

    Args:
        module: The network.
        task: A task or its name, whose head reads what the module gives; ``None`` to compile it.

    Raises:
        ConfigError: It is no module.

    Example:
        >>> import numpy as np
        >>> from torch import nn
        >>> model = wrap(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1)))
        >>> model.compile(optimizer="adam", loss="mse", metrics=["mae"])
        >>> x = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
        >>> run = model.fit(x, x.sum(axis=1), epochs=1, verbose=0)
        >>> model.predict(x).shape
        (32, 1)
    """
    if isinstance(module, Model):
        return module
    if not isinstance(module, nn.Module):
        raise ConfigError(
            f"Expected an nn.Module; received {type(module).__name__}. For the name of a backbone "
            "type: lai.Model('convnet', 'image_classification')."
        )
    return Model(module, task)
