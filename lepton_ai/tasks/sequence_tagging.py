"""Sequence tagging: which class is each word of a sentence?"""

from __future__ import annotations

from typing import Any, ClassVar, cast

import numpy as np

from lepton_ai.data.column import Ragged
from lepton_ai.data.field import Field, Spec
from lepton_ai.data.fields.tags import Tags
from lepton_ai.data.fields.words import Words
from lepton_ai.heads.tagging import TaggingHead
from lepton_ai.metrics.classification import Accuracy
from lepton_ai.metrics.metric import Metric
from lepton_ai.tasks.task import Task

variants = {"sequence_tagging": "SequenceTagging"}


class SequenceTagging(Task):
    """Which class is each word of a sentence (its part of speech, a name's kind)?

    Args:
        classes: Names of the tags; ``None`` learns them from training data.
        words: Name of the column of sentences.
        tags: Name of the column of tags.

    Example:
        >>> SequenceTagging(["NOUN", "VERB"]).outputs["tags"].classes
        ['NOUN', 'VERB']
    """

    recipe: ClassVar[dict[str, Any]] = {
        "backbone": "text_gru",
        "epochs": 2,
        "batch_size": 32,
        "optimizer": "adamw",
        "weight_decay": 0.01,
        "learning_rate": 3e-3,
        "schedule": "one_cycle",
        "clip_norm": 1.0,
    }

    def __init__(
        self, classes: list[str] | None = None, *, words: str = "words", tags: str = "tags"
    ) -> None:
        super().__init__({words: Words()}, {tags: Tags(classes)})

    @classmethod
    def suits(cls, inputs: dict[str, Field], target: Field) -> float:
        kinds = [type(field) for field in inputs.values()]
        return 1.0 if kinds == [Words] and isinstance(target, Tags) else 0.0

    @classmethod
    def needs(cls) -> str:
        return "sequence"

    def metrics(self) -> dict[str, Metric]:
        return {"accuracy": Accuracy()}

    def head(self, width: int, specs: dict[str, Spec], *, members: int = 1) -> TaggingHead:
        field = cast("Tags", self.outputs[self.target])
        return TaggingHead(width, field, words=next(iter(self.inputs)), name=self.target)

    def sample(self, rng: np.random.Generator, count: int) -> dict[str, Any]:
        """Sentences, and a tag for each of their words."""
        words = next(iter(self.inputs))
        sentences = [self.inputs[words].sample(rng) for _ in range(count)]
        classes = cast("Tags", self.outputs[self.target]).classes or ["NOUN", "VERB"]
        tags = [[classes[len(word) % len(classes)] for word in s] for s in sentences]
        return {words: Ragged.of(sentences), self.target: Ragged.of(tags)}

    @classmethod
    def example(cls) -> SequenceTagging:
        return cls(["NOUN", "PRON", "VERB"])

    def typed(self, data: Any, *, targets: bool = True) -> Any:
        """As in :class:`Task`; each sentence must have a tag for each word."""
        typed = super().typed(data, targets=targets)
        if targets:
            words, tags = typed[next(iter(self.inputs))], typed[self.target]
            odd = np.flatnonzero(words.lengths != tags.lengths)
            if len(odd):
                from lepton_ai.errors import DataError

                index = int(odd[0])
                raise DataError(
                    f"Expected a tag for each word; example {index} has {words.lengths[index]} "
                    f"words and {tags.lengths[index]} tags ({len(odd)} examples differ)."
                )
        return typed
