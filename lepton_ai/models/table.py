"""Tables as scikit-learn hands them over: arrays and data frames, column by column."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from lepton_ai.data.field import Field, Spec
from lepton_ai.data.fields.label import Label
from lepton_ai.data.fields.number import Number
from lepton_ai.errors import ConfigError, DataError
from lepton_ai.models.backbones.backbone import Backbone

WEIGHT = "sample_weight"
"""The column that tells the trainer how much a row counts."""
RESERVED = (WEIGHT,)


class TableNetwork(Backbone):
    """A network of the user's own on a table's row: scaled numbers, then classes one-hot.

    Args:
        module: From ``[N, inputs]`` to features ``[N, width]``.
        specs: What the input fields learned, by name.
    """

    expects = ("number", "label")
    gives = ("members",)

    def __init__(self, module: nn.Module, specs: dict[str, Spec]) -> None:
        super().__init__()
        self.module, self.specs = module, specs
        with torch.no_grad():
            was = module.training
            found = module.eval()(torch.zeros(2, row_width(specs)))
            module.train(was)
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != 2:
            shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ConfigError(
                f"Expected network= to turn [2, {row_width(specs)}] numbers into features "
                f"[2, width]; received {shape}. End it with a Flatten or a Linear."
            )
        self.width = found.shape[1]

    def stem(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        found = {}
        for name, spec in self.specs.items():
            value = inputs[name]
            if "classes" in spec:
                count = len(spec["classes"])
                chosen = torch.where(value < 0, count, value)
                found[name] = nn.functional.one_hot(chosen, count + 1)[:, :-1].float()
            else:
                found[name] = torch.nan_to_num(value.float(), nan=0.0)[:, None]
        return found

    def features(self, stem: dict[str, Tensor], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"members": self.module(torch.cat(list(stem.values()), 1))[:, None]}


def row_width(specs: dict[str, Spec]) -> int:
    """How many numbers a row is for a network of the user's own."""
    return sum(len(spec["classes"]) if "classes" in spec else 1 for spec in specs.values())


def is_frame(X: Any) -> bool:  # noqa: N803
    """Whether a table is a data frame (pandas, polars)."""
    return hasattr(X, "columns") and (hasattr(X, "iloc") or hasattr(X, "get_column"))


def columns_of(X: Any) -> list[np.ndarray]:  # noqa: N803
    """The columns of an array or a data frame (pandas, polars)."""
    if not is_frame(X):
        return list(np.asarray(X).T)
    if hasattr(X, "iloc"):
        return [_plain(X.iloc[:, place]) for place in range(X.shape[1])]
    return [X.get_column(name).to_numpy() for name in X.columns]


def _plain(series: Any) -> np.ndarray:
    """A pandas series as an array: numbers where it holds numbers, else objects."""
    kind = getattr(series.dtype, "kind", "O")
    if kind in "iufb" and not inspect.isclass(series.dtype):
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    return series.to_numpy(dtype=object)


def column_names(given: Any, count: int) -> list[str]:
    """A name for each column: a dot would tell a column's companion, and none comes twice."""
    wished = [f"x{place}" for place in range(count)] if given is None else map(str, given)
    names: list[str] = []
    for name in wished:
        plain = name.replace(".", "_") or "column"
        while plain in names or plain in RESERVED:
            plain += "_"
        names.append(plain)
    return names


def _missing(value: Any) -> bool:
    return value is None or value is not value or type(value).__name__ in ("NAType", "NaTType")


def texts(values: np.ndarray) -> pa.Array:
    """A column as text, missing values as None."""
    return pa.array([None if _missing(v) else str(v) for v in values], pa.string())


def numbers(values: np.ndarray, name: str) -> np.ndarray:
    """A column as float64, missing values as NaN.

    Raises:
        DataError: It holds text.
        TypeError: It holds what is neither a number nor text.
    """
    if values.dtype.kind in "iufb":
        return values.astype(np.float64)
    if values.dtype.kind == "O":
        values = np.array([np.nan if _missing(v) else v for v in values], dtype=object)
    try:
        return values.astype(np.float64)
    except ValueError as error:
        raise DataError(f"Expected the column {name!r} to hold numbers: {error}.") from error


def typed_column(values: np.ndarray, name: str) -> tuple[Any, Field]:
    """A training column with its field: numbers where all values are, else categories."""
    try:
        return numbers(values, name), Number()
    except DataError:
        column = texts(values)
        return column, Label(sorted(set(column.drop_null().to_pylist())), open=True)
