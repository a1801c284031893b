"""Predicting: a data set through encoding, network and decoding, in batches."""

from __future__ import annotations

from typing import Any

import torch

from lepton_ai.data.column import concatenate
from lepton_ai.data.dataset import Dataset
from lepton_ai.data.encoding import encode_inputs
from lepton_ai.errors import ConfigError
from lepton_ai.registry import near_miss


def predict_columns(
    model: Any, data: Dataset, batch_size: int, options: dict[str, Any]
) -> dict[str, Any]:
    """Columns of predictions for typed examples.

    Examples are encoded some thousands at a time, so that memory stays bounded.

    Raises:
        ConfigError: An option that the head does not offer.
    """
    known = model.head.options
    for name in options:
        if name not in known:
            raise ConfigError(
                f"Expected options out of {', '.join(known) or '(none)'}; received {name!r}."
                f"{near_miss(name, known)}"
            )
    pieces: dict[str, list[Any]] = {}
    was = model.training
    model.eval()
    window = max(batch_size * 16, 4096)
    try:
        with torch.inference_mode():
            for begin in range(0, len(data), window):
                stop = min(begin + window, len(data))
                part = data if stop - begin == len(data) else data.take(range(begin, stop))
                encoded = encode_inputs(model.task.inputs, model.specs, part.columns)
                for start in range(0, len(encoded), batch_size):
                    columns = encoded.slice(start, start + batch_size)
                    columns = {k: v.to(model.device) for k, v in columns.items()}
                    decoded = model.head.decode(model.outputs(columns), model.specs, **options)
                    for name, column in decoded.items():
                        pieces.setdefault(name, []).append(column)
    finally:
        model.train(was)
    return {name: concatenate(parts) for name, parts in pieces.items()}
