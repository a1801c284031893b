"""Dataset: many examples, each a dict of named values, typed by fields. Immutable and columnar."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lepton_ai import registry
from lepton_ai.data.column import Column, as_column, concatenate, item, take, update_digest
from lepton_ai.data.field import Field
from lepton_ai.data.transform import Transform, resolve
from lepton_ai.errors import ConfigError, DataError, EmptyDataError

if TYPE_CHECKING:
    from lepton_ai.workspace import Workspace


@dataclass(frozen=True)
class Skipped:
    """One member of a source that could not be read, and why; never dropped silently."""

    member: str
    reason: str


class Dataset:
    """Many examples, held as columns; every method returns a new data set.

    Args:
        columns: Name to values: lists, arrays, tensors, arrow arrays, series.
        fields: Name to field, for those columns whose field shall not be inferred.
        name: What to call it in reports.
        skipped: Members of the source that could not be read.

    Raises:
        DataError: Columns of differing length, or values that a field refuses.

    Example:
        >>> data = Dataset({"text": ["good", "bad"], "label": ["pos", "neg"]})
        >>> len(data), data[0]
        (2, {'text': 'good', 'label': 'pos'})
    """

    def __init__(
        self, columns: Mapping[str, Any], fields: Mapping[str, Field] | None = None, *,
        name: str = "data", skipped: Sequence[Skipped] = (),
    ) -> None:  # fmt: skip
        from lepton_ai.data.inference import infer_field

        fields = dict(fields or {})
        unknown = [key for key in fields if key not in columns]
        if unknown:
            hint = registry.near_miss(unknown[0], columns)
            raise DataError(
                f"Expected fields for the columns {', '.join(columns)}; received one for "
                f"{unknown[0]!r}.{hint}"
            )
        self.columns: dict[str, Column] = {
            key: fields[key].read(values) if key in fields else as_column(values)
            for key, values in columns.items()
        }
        self.fields: dict[str, Field] = {
            key: fields[key] if key in fields else infer_field(key, column)
            for key, column in self.columns.items()
        }
        lengths = {key: len(column) for key, column in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(
                "Expected columns of one length; received "
                + ", ".join(f"{key}: {count}" for key, count in lengths.items())
                + ". Each example needs a value in each column (None where it is missing)."
            )
        self.name = name
        self.skipped = tuple(skipped)
        self.transforms: tuple[Transform, ...] = ()
        self.lineage: dict[str, Any] = {}
        self._digest: str | None = None

    # -- making ----------------------------------------------------------------------------

    @classmethod
    def read(cls, source: Any, *, target: str | None = None, **options: Any) -> Dataset:
        """Read a source: a folder of images, a CSV/JSONL/Parquet file, arrays, a data frame.

        Args:
            source: A path, or an object that holds examples.
            target: The column to predict, where the source has several.
            options: What the recognised kind of source takes, see ``lepton data --help``.

        Raises:
            SourceError: The source is missing, unreadable, or of no kind that is known.
        """
        from lepton_ai.data.reading import read

        return read(source, target=target, **options)

    @classmethod
    def open(
        cls, name: str, *, version: int | str | None = None, workspace: Workspace | None = None
    ) -> Dataset:
        """Open a stored data set, by default its newest version."""
        from lepton_ai.data.store.versions import open_version

        return open_version(name, version=version, workspace=workspace)

    def store(self, name: str, *, workspace: Workspace | None = None) -> Dataset:
        """Keep the data set as a new version under a name; returns it as it was stored."""
        from lepton_ai.data.store.versions import store_version

        return store_version(self, name, workspace=workspace)

    def derive(
        self, columns: Mapping[str, Any] | None = None, fields: Mapping[str, Field] | None = None,
        **changes: Any,
    ) -> Dataset:  # fmt: skip
        """A copy with some columns, fields or attributes replaced; the rest is shared."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy.columns = dict(self.columns if columns is None else columns)
        kept = dict(self.fields if fields is None else fields)
        copy.fields = {key: kept[key] for key in copy.columns}
        copy._digest = None if columns is not None else self._digest
        copy.__dict__.update(changes)
        return copy

    # -- looking ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __getitem__(self, key: Any) -> Any:
        """A column by its name, an example by its number, or a smaller data set by a slice."""
        if isinstance(key, str):
            if key not in self.columns:
                raise DataError(
                    f"Expected one of the columns {', '.join(self.columns)}; received {key!r}."
                    f"{registry.near_miss(key, self.columns)}"
                )
            return self.columns[key]
        if isinstance(key, (int, np.integer)):
            index = range(len(self))[int(key)]
            return {name: item(column, index) for name, column in self.columns.items()}
        if isinstance(key, slice):
            return self.take(np.arange(len(self))[key])
        indices = np.asarray(key)
        return self.take(np.flatnonzero(indices) if indices.dtype == bool else indices)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        lines = [f"Dataset {self.name!r}: {len(self):,} examples"]
        lines += [f"  {name}: {field!r}" for name, field in self.fields.items()]
        if self.transforms:
            lines.append(f"  transforms: {', '.join(map(repr, self.transforms))}")
        if self.skipped:
            first = self.skipped[0]
            lines.append(f"  skipped: {len(self.skipped)} ({first.member}: {first.reason}, ...)")
        return "\n".join(lines)

    def digest(self) -> str:
        """SHA-256 over names, fields and values: equal data has equal digests."""
        if self._digest is None:
            digest = hashlib.sha256()
            for name in sorted(self.columns):
                digest.update(f"{name}{self.fields[name].to_config()}".encode())
                update_digest(digest, self.columns[name])
            self._digest = digest.hexdigest()
        return self._digest

    # -- changing --------------------------------------------------------------------------

    def take(self, indices: Any) -> Dataset:
        """The examples at ``indices`` (integers), in that order."""
        indices = np.asarray(indices if len(indices) else (), dtype=np.int64)
        return self.derive({name: take(column, indices) for name, column in self.columns.items()})

    def select(self, names: Sequence[str]) -> Dataset:
        """Only these columns."""
        return self.derive({name: self[name] for name in names})

    def rename(self, names: Mapping[str, str]) -> Dataset:
        """Columns under other names: ``{"old": "new"}``."""
        for name in names:
            self[name]
        return self.derive(
            {names.get(name, name): column for name, column in self.columns.items()},
            {names.get(name, name): field for name, field in self.fields.items()},
        )

    def with_fields(self, fields: Mapping[str, Field]) -> Dataset:
        """Other fields for some columns, whose values they check on reading."""
        columns = {name: fields[name].read(self[name]) for name in fields}
        return self.derive({**self.columns, **columns}, {**self.fields, **fields})

    def with_column(self, name: str, values: Any, field: Field | None = None) -> Dataset:
        """One column more, or another in its place."""
        single = Dataset({name: values}, {name: field} if field else None)
        if self.columns and len(single) != len(self):
            raise DataError(f"Expected {len(self)} values for {name!r}; received {len(single)}.")
        return self.derive({**self.columns, **single.columns}, {**self.fields, **single.fields})

    def apply_transforms(self, transforms: Sequence[str | Transform]) -> Dataset:
        """Transforms that every sample passes when it is trained or evaluated on, by name.

        Example:
            >>> import numpy as np
            >>> pictures = Dataset({"image": np.zeros((4, 8, 8, 3), "uint8")})
            >>> pictures.apply_transforms(["random_horizontal_flip"]).transforms
            (RandomHorizontalFlip(probability=0.5),)
        """
        return self.derive(transforms=(*self.transforms, *resolve(transforms)))

    def concatenate(self, other: Dataset) -> Dataset:
        """The examples of both, one after the other; both must have the same columns."""
        if list(self.columns) != list(other.columns):
            raise DataError(
                f"Expected the columns {', '.join(self.columns)}; received "
                f"{', '.join(other.columns)}. Use rename() or select() first."
            )
        return self.derive(
            {name: concatenate([col, other.columns[name]]) for name, col in self.columns.items()}
        )

    def shuffle(self, *, seed: int = 0) -> Dataset:
        """The examples in another order, the same for the same seed."""
        return self.take(np.random.default_rng(seed).permutation(len(self)))

    def split(
        self, fraction: float = 0.2, *, seed: int = 0, stratify: str | None = None,
        groups: Sequence[Any] | str | None = None, keep_duplicates_together: bool = True,
    ) -> tuple[Dataset, Dataset]:  # fmt: skip
        """Split into a larger and a smaller part; equal examples never land on both sides.

        Args:
            fraction: Share of the examples in the second part.
            seed: The same seed gives the same split.
            stratify: A label column whose classes shall keep their shares.
            groups: Values (or the name of a column); examples of one group stay together.
            keep_duplicates_together: Examples with equal inputs form a group of their own.

        Raises:
            EmptyDataError: Too few examples for two parts.
        """
        from lepton_ai.data.splitting import split_indices

        if not 0 < fraction < 1:
            raise ConfigError(f"Expected a fraction between 0 and 1; received {fraction}.")
        if len(self) < 2:
            raise EmptyDataError(f"Expected at least 2 examples to split; received {len(self)}.")
        first, second = split_indices(
            self, fraction, seed=seed, stratify=stratify, groups=groups,
            duplicates=keep_duplicates_together,
        )  # fmt: skip
        return self.take(first), self.take(second)

    # -- checking --------------------------------------------------------------------------

    def require(self, names: Sequence[str] = ()) -> Dataset:
        """Itself, if it holds examples and these columns; else an error that says what lacks."""
        for name in names:
            self[name]
        if not len(self):
            raise EmptyDataError(
                f"Expected at least one example; the data set {self.name!r} is empty"
                + (f" ({len(self.skipped)} members were skipped)." if self.skipped else ".")
            )
        return self


def as_dataset(data: Any) -> Dataset:
    """A data set from one, from a path, a frame, a mapping of columns, or a list of examples."""
    if isinstance(data, Dataset):
        return data
    if isinstance(data, Mapping):
        return Dataset(data)
    if isinstance(data, (str, Path)):
        return Dataset.read(data)
    if isinstance(data, (list, tuple)) and data and all(isinstance(x, Mapping) for x in data):
        return Dataset(columns_of(data))
    return Dataset.read(data)


def columns_of(examples: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows to columns; every example must have the same names."""
    names = list(examples[0])
    for index, example in enumerate(examples):
        if list(example) != names and set(example) != set(names):
            raise DataError(
                f"Expected every example to have {', '.join(names)}; example {index} has "
                f"{', '.join(map(str, example)) or 'nothing'}."
            )
    return {name: [example[name] for example in examples] for name in names}
