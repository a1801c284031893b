"""Assembling: network and head of a model, from what was learned of the data."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lepton_ai import registry
from lepton_ai.data.encoding import encode_inputs
from lepton_ai.errors import ConfigError
from lepton_ai.models import binding, subclassing
from lepton_ai.models.backbones.backbone import Backbone
from lepton_ai.models.compiling import check_probabilities
from lepton_ai.models.entry import Entry
from lepton_ai.tasks.supervised import Supervised

_WHERE = "shape of the Input"


def entries_of(model: Any) -> dict[str, Entry]:
    """What the network reads, by the inputs of the task, whose order is that of the network."""
    names, entries = list(model.task.inputs), list(model.entries().values())
    if entries:
        return dict(zip(names, entries, strict=False))
    if isinstance(model.task, Supervised):
        return dict.fromkeys(names, Entry(written=hasattr(model, "call")))
    return {}


def assemble(model: Any) -> None:
    """Make network and head; what the network's ends are is told to a compiled task."""
    task, module = model.task, model.module()
    model._entries = entries_of(model) if module is not None else {}
    if module is None:
        kind = binding.backbone_class(model.usual_backbone(), task)
        try:
            model.network = kind(model.specs, task.inputs, task.needs(), **model.arguments)
        except TypeError as error:
            raise ConfigError(f"The backbone {model.backbone!r}: {error}.") from error
        if model.inherited is not None:
            model.inherited.put_into(model.network)
    elif isinstance(module, Backbone):
        model.network = module
    else:
        model.network = _whole(model, module)
    if isinstance(task, Supervised):
        task.end(model.ends() or ["linear"] * len(task.outputs))
    model.head = binding.make_head(task, model.network, model.specs)
    if isinstance(task, Supervised):
        check_answers(model)


def _whole(model: Any, module: nn.Module) -> binding.Whole:
    task, reads = model.task, list(model.entries())
    names = list(task.inputs)
    if reads and len(reads) != len(names):
        raise ConfigError(
            f"Expected {len(reads)} inputs ({', '.join(reads)}); the task has {', '.join(names)}."
        )
    for name, entry in model._entries.items():
        entry.check(name, task.inputs[name], model.specs[name], _WHERE)
    whole = binding.Whole(
        module, names, task.needs(), reads=reads or None, outputs=list(task.outputs)
    )
    whole.prefers_bfloat16 = isinstance(task, Supervised) and any(
        type(part).__name__.startswith(("Conv", "LSTM", "GRU")) for part in module.modules()
    )
    if task.needs() != "raw" or not reads:
        model.network = whole
        whole.measure(sampled(model))  # layers that are built by their first call are built now
    return whole


def sampled(model: Any, count: int = 2) -> dict[str, Tensor]:
    """Some plausible inputs as the network reads them; whole numbers are 0."""
    rng = np.random.default_rng(0)
    inputs = model.task.inputs
    columns = {
        name: field.read([field.sample(rng) for _ in range(count)])
        for name, field in inputs.items()
    }  # fmt: skip
    encoded = encode_inputs(inputs, model.specs, columns).slice(0, count)
    blank = {
        name: value if value.is_floating_point() or value.dtype == torch.uint8 or "." in name
        else torch.zeros_like(value)
        for name, value in encoded.items()
    }  # fmt: skip
    return {name: value.to(model.device) for name, value in model.prepared(blank).items()}


def check_answers(model: Any) -> None:
    """Refuse a loss that does not fit what the network gives.

    Raises:
        ConfigError: The message says which loss, or which last layer, to type.
    """
    task = model.task
    doubtful = [
        judge for judge in task.judge().values()
        if judge.activation == "linear" and judge.loss.classes
    ]  # fmt: skip
    if not doubtful and model.entries():
        return
    was = model.training
    model.eval()
    with torch.no_grad():
        found = model.network(sampled(model, 8))
    model.train(was)
    names = list(task.outputs)
    outputs = {names[0]: found["raw"]} if len(names) == 1 else found
    for name, value in outputs.items():
        if not isinstance(value, Tensor) or not value.ndim:
            raise ConfigError(
                f"Expected a tensor [batch, ...] for the output {name!r}; the network gave "
                f"{type(value).__name__}. Return one tensor for each of {', '.join(names)}."
            )
    check_probabilities(task, outputs)


def lay_out(module: nn.Module) -> None:
    """Put the channels innermost in the memory of kernels, as convolutions read them fastest."""
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.ndim in layouts:
            tensor.data = tensor.data.to(memory_format=layouts[tensor.ndim])


def architecture(model: Any) -> dict[str, Any]:
    """The architecture of a model as JSON; classes of the user's own by their registered names.

    Raises:
        UnknownNameError: A class is not registered; the message says how to.
        ConfigError: It could not be made again from its arguments.
    """
    if hasattr(model, "call"):
        kind = type(model)
        name = registry.name_of("networks", kind)
        if hasattr(model, "config"):
            arguments = model.config()
        else:
            arguments = subclassing.constructed(model, *model._made_with)
        subclassing.check_makes(kind, arguments)
        return {"kind": name, "arguments": arguments}
    if model.given is not None:
        kind = type(model.given)
        name = registry.name_of("networks", kind)
        arguments = getattr(model.given, "config", dict)()
        if kind.__init__ is not nn.Module.__init__ and inspect.isfunction(kind.__init__):
            subclassing.check_makes(kind, arguments)
        return {"kind": "model", "network": name, "arguments": arguments}
    return {"kind": "model", "backbone": model.backbone, "arguments": model.arguments}
