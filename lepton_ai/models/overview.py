"""Overview: what the layers of a model give, hold and cost, as a table."""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from lepton_ai.errors import LeptonError, NotReadyError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import is_shapes, shape_of
from lepton_ai.models import assembling
from lepton_ai.models.layering import counts


@dataclass
class Row:
    """One layer.

    Attributes:
        name: Its name in the model.
        kind: Its class.
        shape: Shape of its output without the batch, channels last; ``None`` when it was not run.
        learned: Numbers that learn.
        kept: Numbers that do not: frozen weights, moving averages.
        operations: For one example; a multiplication with its addition counts as two.
        parameter_bytes: Memory of the weights.
        activation_bytes: Memory of the output for one example.
    """

    name: str
    kind: str
    shape: Any = None
    learned: int = 0
    kept: int = 0
    operations: int = 0
    parameter_bytes: int = 0
    activation_bytes: int = 0


def rows_of(model: Any) -> list[Row]:
    """What each layer of a model gives, holds and costs, measured by running one example.

    Raises:
        NotReadyError: The shapes are not known yet; the message says what to type.
    """
    named: dict[str, nn.Module] = model.named_layers()
    model.settle_trainable()
    rows = {}
    for name, layer in named.items():
        learned, kept = counts(layer)
        tensors = {id(t): t for t in (*layer.parameters(), *layer.buffers())}
        row = Row(name, type(layer).__name__, learned=learned, kept=kept)
        row.parameter_bytes = sum(tensor.nbytes for tensor in tensors.values())
        rows[id(layer)] = row
    _run(model, named, rows)
    return list(rows.values())


def _run(model: Any, named: dict[str, nn.Module], rows: dict[int, Row]) -> None:
    """Let one example through, and note what each layer gives and how much it computes."""
    counter = FlopCounterMode(display=False, custom_mapping=_fused())
    handles: list[Any] = []
    begun: dict[int, int] = {}

    def before(layer: nn.Module, *_: Any) -> None:
        begun[id(layer)] = counter.get_total_flops()

    def after(layer: nn.Module, _: Any, output: Any) -> None:
        row = rows[id(layer)]
        row.operations += counter.get_total_flops() - begun[id(layer)]
        tensors = [value for value in _tensors(output) if value.ndim]
        row.activation_bytes += sum(tensor[:1].nbytes for tensor in tensors)
        if tensors:
            row.shape = _shape(layer, tensors[0])

    for layer in named.values():
        handles += [layer.register_forward_pre_hook(before), layer.register_forward_hook(after)]
    was = model.training
    model.eval()
    try:
        with torch.no_grad(), counter:
            _forward(model)
    finally:
        for handle in handles:
            handle.remove()
        model.train(was)
    for layer in named.values():
        row = rows[id(layer)]
        if row.shape is None and isinstance(layer, Layer):
            row.shape = layer.output_shape_ or getattr(layer, "shape", None)


def _forward(model: Any) -> None:
    """One example through the whole network, the layers called whole."""
    if model.bound:
        inputs = assembling.sampled(model, 1)
        model.head(_whole_layers(model, inputs))
        return
    entries = list(model.entries().values())
    module = model.module()
    if not entries or any(entry.shape is None for entry in entries) or module is None:
        raise NotReadyError(
            "Expected a model that knows the shape of its inputs. Type: input_shape=(...) on the "
            "first layer, or fit it first."
        )
    values = [entry.placeholder() for entry in entries]
    names = list(getattr(module, "inputs", ["x"]))
    _unfused(module)(dict(zip(names, values, strict=True)) if len(values) > 1 else values[0])


def _whole_layers(model: Any, inputs: dict[str, Tensor]) -> Any:
    network = model.network
    module = getattr(network, "module", None)
    if module is None or not hasattr(module, "linear_ends") and not hasattr(module, "linear_end"):
        return network(inputs)
    kept = vars(network)["_modules"]["module"]
    vars(network)["_modules"]["module"] = _unfused(kept)
    try:
        return network(inputs)
    finally:
        vars(network)["_modules"]["module"] = kept


def _unfused(module: Any) -> Any:
    """A network of layers in which every layer is called whole, so that it is seen."""
    twin = copy.copy(module)
    for name in ("linear_ends", "linear_end"):
        if name in vars(twin):
            vars(twin)[name] = False
    if "plan" in vars(twin):
        twin.plan = ["whole"] * len(twin.plan)
    if "_modes" in vars(twin):
        twin._modes = ["whole"] * len(twin._modes)
    return twin


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        return [tensor for inner in value.values() for tensor in _tensors(inner)]
    if isinstance(value, (list, tuple)):
        return [tensor for inner in value for tensor in _tensors(inner)]
    return []


def _shape(layer: nn.Module, tensor: Tensor) -> Any:
    known = getattr(layer, "output_shape_", None) if isinstance(layer, Layer) else None
    if known is None:
        return shape_of(tensor)
    return known[0] if is_shapes(known) else known


def _fused() -> dict[Any, Any]:
    """The operations of fused layers on a processor, which the counter does not know."""

    def recurrent(x: Any, w0: Any, w1: Any, *_: Any, **__: Any) -> int:
        steps = x[0] * x[1] if len(x) == 3 else x[0]
        return 2 * steps * (w0[0] * w0[1] + w1[0] * w1[1])

    def attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        return sdpa_flop_count(query, key, value)

    known = {
        "mkldnn_rnn_layer": recurrent, "_scaled_dot_product_flash_attention_for_cpu": attention,
    }  # fmt: skip
    return {
        getattr(torch.ops.aten, name): cost
        for name, cost in known.items() if hasattr(torch.ops.aten, name)
    }  # fmt: skip


# -- as text -------------------------------------------------------------------------------------


def show(model: Any) -> str:
    """Print the table, and give it."""
    text = as_text(model)
    sys.stdout.write(text + "\n")
    return text


def as_text(model: Any) -> str:
    """The table of a model's layers, with totals."""
    rows = rows_of(model)
    head = ("Layer", "Output shape", "Parameters", "FLOPs", "Memory")
    cells = [
        (f"{row.name} ({row.kind})", _as_shape(row.shape), f"{row.learned + row.kept:,}",
         _count(row.operations), _bytes(row.activation_bytes))
        for row in rows
    ]  # fmt: skip
    widths = [max(len(line[i]) for line in (head, *cells)) for i in range(len(head))]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))

    def line(values: tuple[str, ...]) -> str:
        padded = [
            value.ljust(width) if place < 2 else value.rjust(width)
            for place, (value, width) in enumerate(zip(values, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    learned, kept = counts(nn.ModuleList(model.named_layers().values()))
    held = sum(row.parameter_bytes for row in rows)
    live = sum(row.activation_bytes for row in rows)
    return "\n".join([
        f"Model {model.name!r}", rule, line(head), rule, *map(line, cells), rule,
        f"Parameters: {learned + kept:,} ({_bytes(held)}); they learn: {learned:,}; "
        f"kept as they are: {kept:,}",
        f"One example: {_count(sum(row.operations for row in rows))} FLOPs (a multiplication with "
        f"its addition counts as two), {_bytes(live)} of outputs",
    ])  # fmt: skip


def _as_shape(shape: Any) -> str:
    if shape is None:
        return "?"
    if is_shapes(shape):
        return ", ".join(_as_shape(one) for one in shape)
    return "(" + ", ".join(["None", *(str(size) for size in shape)]) + ")"


def _count(number: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 10 * size or (number >= size and unit != "k"):
            return f"{number / size:.3g} {unit}"
    return f"{int(number):,}"


def _bytes(number: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{int(number)} B"


def shapes_of(model: Any) -> dict[str, str]:
    """The output shape of each layer by name, as far as they are known: for drawings."""
    try:
        return {row.name: _as_shape(row.shape) for row in rows_of(model)}
    except LeptonError:
        return {}
