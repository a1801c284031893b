"""Data: fields, data sets, transforms, sources and the store.

Start with :mod:`lepton_ai.data.field` (what one value is) and :mod:`lepton_ai.data.dataset`.
"""

from lepton_ai.data import fields, sources, transforms
from lepton_ai.data.column import Files, Items, Ragged
from lepton_ai.data.dataset import Dataset, Skipped, as_dataset
from lepton_ai.data.field import Field, Part, Spec
from lepton_ai.data.transform import Transform

__all__ = [
    "Dataset", "Field", "Files", "Items", "Part", "Ragged", "Skipped", "Spec", "Transform",
    "as_dataset", "fields", "sources", "transforms",
]  # fmt: skip
