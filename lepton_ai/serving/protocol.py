"""Open Inference Protocol v2 over REST, with the binary tensor extension.

A model is described by its task's configuration among the ``parameters`` of its metadata, so that
:func:`lepton_ai.connect` can rebuild the task.
"""

from __future__ import annotations

from typing import Any

import lepton_ai
from lepton_ai.errors import DataError
from lepton_ai.registry import near_miss
from lepton_ai.serving.exchange import Answer, Call, Refused, json_answer
from lepton_ai.serving.hosted import Hosted, Shelf
from lepton_ai.serving.tensors import described, to_input, to_wire
from lepton_ai.serving.wire import HEADER, Wire, join, parameters_of, read_tensors, split
from lepton_ai.serving.wire import write_tensor as write

EXTENSIONS = ["binary_tensor_data"]
_RESERVED = ("binary_data_output", "sequence_id", "sequence_start", "sequence_end", "priority",
             "timeout")  # fmt: skip


class Protocol:
    """The ``/v2`` routes over some models.

    Args:
        shelf: The models.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self._metadata: dict[str, dict[str, Any]] = {}

    def server(self, call: Call) -> Answer:
        """``GET /v2``: what the server is."""
        return json_answer({
            "name": "lepton", "version": lepton_ai.__version__, "extensions": EXTENSIONS,
            "models": list(self.shelf.models),
        })  # fmt: skip

    def live(self, call: Call) -> Answer:
        """``GET /v2/health/live``."""
        return json_answer({"live": True})

    def ready(self, call: Call) -> Answer:
        """``GET /v2/health/ready``: 200 once every model has passed its check."""
        return json_answer({"ready": self.shelf.ready}, 200 if self.shelf.ready else 503)

    def model_ready(self, call: Call) -> Answer:
        """``GET /v2/models/{name}/ready``."""
        model = self.shelf.find(call.names)
        return json_answer({"name": model.name, "ready": model.ready}, 200 if model.ready else 503)

    def model(self, call: Call) -> Answer:
        """``GET /v2/models/{name}``: inputs, outputs, and the task in ``parameters``."""
        model = self.shelf.find(call.names)
        model.require_ready()
        if model.name not in self._metadata:
            self._metadata[model.name] = metadata(model, self.shelf)
        return json_answer(self._metadata[model.name])

    def infer(self, call: Call) -> Answer:
        """``POST /v2/models/{name}/infer``."""
        model = self.shelf.find(call.names)
        document, tail = split(call.body, call.headers.get(HEADER))
        wires = read_tensors(document.get("inputs"), tail, "inputs")
        columns = _columns(model, wires, self.shelf)
        parameters = parameters_of(document)
        options = {k: v for k, v in parameters.items() if k not in _RESERVED}
        predictions = model.predict(columns, options)
        head = {"model_name": model.name, "model_version": model.version, "id": call.id}
        if isinstance(document.get("id"), str) and document["id"]:
            head["id"] = document["id"]
        chosen = _chosen(document, predictions, bool(parameters.get("binary_data_output")))
        return _reply(model, head, predictions, chosen)


def metadata(model: Hosted, shelf: Shelf) -> dict[str, Any]:
    """What the protocol tells about a model."""
    inputs, outputs = model.sampled()
    fields = model.task.outputs
    options = {
        name: {"default": option.default, "meaning": option.meaning,
               "minimum": option.minimum, "maximum": option.maximum}
        for name, option in model.model.head.options.items()
    }  # fmt: skip
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": "lepton",
        "inputs": [described(n, c, model.task.inputs[n]) for n, c in inputs.items()],
        "outputs": [_output(n, c, fields.get(n)) for n, c in outputs.items()],
        "parameters": {
            "task": model.task.to_config(),
            "options": options,
            "limits": {"body": shelf.limits.body, "examples": shelf.limits.examples},
        },
    }


def _output(name: str, column: Any, field: Any) -> dict[str, Any]:
    wire = to_wire(name, column, field)
    sizes = wire.shape[1:]
    if field is not None and len(sizes) > 1:
        sizes = [-1] * len(sizes)  # maps follow the size of the picture
    return {"name": name, "datatype": wire.datatype, "shape": [-1, *sizes],
            "parameters": wire.parameters}  # fmt: skip


def _columns(model: Hosted, wires: list[Wire], shelf: Shelf) -> dict[str, Any]:
    fields = model.task.inputs
    given = {wire.name: wire for wire in wires}
    for name in given:
        if name not in fields:
            raise DataError(
                f"Expected the inputs {', '.join(fields)}; received {name[:60]!r}."
                f"{near_miss(name[:60], fields)}"
            )
    missing = [name for name in fields if name not in given]
    if missing:
        raise DataError(f"Expected the inputs {', '.join(fields)}; {missing[0]!r} is missing.")
    counts = {name: len(wire.values) for name, wire in given.items()}
    if len(set(counts.values())) > 1:
        raise DataError(
            "Expected all inputs to have the same number of examples; received "
            + ", ".join(f"{name}: {count}" for name, count in counts.items())
            + "."
        )
    shelf.limits.check_examples(next(iter(counts.values())))
    return {name: to_input(given[name], field) for name, field in fields.items()}


def _chosen(document: dict[str, Any], predictions: dict[str, Any], binary: bool) -> dict[str, bool]:
    """The outputs that were asked for, and whether each goes in binary."""
    wanted = document.get("outputs")
    if not wanted:
        return dict.fromkeys(predictions, binary)
    if not isinstance(wanted, list) or not all(isinstance(entry, dict) for entry in wanted):
        raise DataError('Expected a list of tensors under "outputs".')
    chosen = {}
    for entry in wanted:
        name = entry.get("name")
        if name not in predictions:
            raise DataError(
                f"Expected outputs out of {', '.join(predictions)}; received {str(name)[:60]!r}."
                f"{near_miss(str(name)[:60], predictions)}"
            )
        parameters = parameters_of(entry)
        if "classification" in parameters:
            raise Refused(
                400, "DataError",
                "Expected outputs without the classification extension; ask for "
                f"{name!r} and its scores instead.",
            )  # fmt: skip
        chosen[name] = bool(parameters.get("binary_data", binary))
    return chosen


def _reply(
    model: Hosted, head: dict[str, Any], predictions: dict[str, Any], chosen: dict[str, bool]
) -> Answer:
    entries, blobs = [], []
    for name, binary in chosen.items():
        wire = to_wire(name, predictions[name], model.task.outputs.get(name))
        entry, blob = write(wire, binary=binary)
        entries.append(entry)
        if blob is not None:
            blobs.append(blob)
    body, headers = join({**head, "outputs": entries}, blobs)
    kind = headers.pop("content-type")
    return Answer(200, body, kind, headers)
