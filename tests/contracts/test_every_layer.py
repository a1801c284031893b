"""What every layer of the registry promises; a new layer is tested by being listed."""

from __future__ import annotations

import copy
import inspect
import json
import pickle  # noqa: S403

import numpy as np
import pytest
import torch
from torch import nn

from lepton_ai import layers
from lepton_ai.errors import ConfigError, LeptonError, ShapeError
from lepton_ai.layers.layer import Activated, Layer
from lepton_ai.layers.layout import from_written, is_shapes, shape_of, to_written
from lepton_ai.layers.lengths import call
from lepton_ai.layers.nonlinearity import ACTIVATIONS
from lepton_ai.layers.randomness import drawing_from
from lepton_ai.layers.symbol import Input, Symbol
from lepton_ai.registry import lookup, name_of, names

EVERY = names("layers")
ONCE = [name for name in EVERY if getattr(layers, name).__name__ == name]  # without the aliases
DRAWING = [name for name in ONCE if getattr(layers, name).sample()[0].draws]
MASKED = [name for name in ONCE if getattr(layers, name).takes_lengths]
ACTIVATED = [name for name in ONCE if issubclass(getattr(layers, name), Activated)]
CHAINED = [name for name in ONCE if not is_shapes(getattr(layers, name).sample()[1])]
ANY_SHAPE = (
    "Embedding", "ReversibleEmbedding", "Flatten", "CategoryEncoding", "Discretization", "Hashing",
    "IntegerLookup", "Normalization", "StochasticDepth", "StringLookup", "TextVectorization",
)  # fmt: skip
CHOOSY = [
    name
    for name in CHAINED
    if getattr(layers, name).infer is not Layer.infer and name not in ANY_SHAPE
]
EMBEDDINGS = ("Embedding", "ReversibleEmbedding", "TokenAndPositionEmbedding")
READS = {name: getattr(getattr(layers, name), "reads", "numbers") for name in ONCE}
WORDS = [name for name in ONCE if READS[name] == "words"]
WHOLE_NUMBERS = (*EMBEDDINGS, *(name for name in ONCE if READS[name] == "whole_numbers"))
TENSORS = [name for name in ONCE if name not in WORDS]
LOOKUPS = ("StringLookup", "IntegerLookup")  # arrays of Python's; no part of a network's graph
GRAPHS = [name for name in TENSORS if name not in LOOKUPS]
SMOOTH = [name for name in GRAPHS if getattr(getattr(layers, name), "differentiable", True)]


def tensor_for(name: str, shape: tuple, batch: int = 3, seed: int = 0):
    source = torch.Generator().manual_seed(seed)
    if name in WORDS:
        rng = np.random.default_rng(seed)
        return rng.choice(np.array(["a", "b", "c"]), (batch, *shape))
    if name in WHOLE_NUMBERS:
        return torch.randint(1, 11, (batch, *shape), generator=source)
    sizes = (shape[-1], *shape[:-1]) if len(shape) >= 3 else shape
    return torch.randn((batch, *sizes), generator=source)


def first(y):
    """The output; of a layer that gives states too, the first of them."""
    return first(y[0]) if isinstance(y, list | tuple) else y


def shapes_of(y):
    return tuple(shape_of(one) for one in flat(y)) if isinstance(y, list | tuple) else shape_of(y)


def flat(y):
    return [one for part in y for one in flat(part)] if isinstance(y, list | tuple) else [y]


def equal(a, b) -> bool:
    return all(torch.equal(x, y) for x, y in zip(flat(a), flat(b), strict=True))


def inputs_for(name: str, shapes: tuple, batch: int = 3, seed: int = 0):
    if is_shapes(shapes):
        return [tensor_for(name, shape, batch, seed + i) for i, shape in enumerate(shapes)]
    return tensor_for(name, shapes, batch, seed)


def built(name: str, seed: int = 1) -> tuple[Layer, tuple]:
    layer, shape = lookup("layers", name).sample()
    layer.build(shape, torch.Generator().manual_seed(seed))
    return layer, shape


def every(chosen: list[str] = ONCE):
    return pytest.mark.parametrize("name", chosen)


@every(EVERY)
def test_the_folder_shows_every_layer(name):
    kind = getattr(layers, name)
    assert issubclass(kind, Layer)
    assert issubclass(kind, nn.Module)
    assert name in dir(layers)
    assert lookup("layers", name.lower()) is kind
    assert name_of("layers", kind) == kind.__name__


@every()
def test_the_inferred_shape_is_the_shape(name):
    kind = lookup("layers", name)
    layer, shape = kind.sample()
    inferred = layer.infer(shape)
    assert not layer.built
    assert layer.build(shape) == inferred
    assert layer.build(shape) == inferred  # building twice changes nothing
    for batch in (1, 3):
        y = layer.eval()(inputs_for(name, shape, batch))
        assert shapes_of(y) == inferred
        assert all(one.shape[0] == batch for one in flat(y))


@every()
def test_the_first_call_builds(name):
    kind = lookup("layers", name)
    layer, shape = kind.sample()
    y = layer(inputs_for(name, shape))
    assert layer.built
    assert shapes_of(y) == layer.output_shape_
    assert kind.sample()[0].build(shape) == layer.output_shape_


@every(CHAINED)
def test_a_size_that_varies_may_be_unknown(name):
    layer, shape = lookup("layers", name).sample()
    if len(shape) < 2:
        shape = (6, *shape)  # a sequence of them
        if name in ("InputLayer", "Reshape", "RepeatVector", "TokenAndPositionEmbedding"):
            return
        if hasattr(layer, "state_size"):
            return  # a cell takes one step
    loose = layer.infer((None, *shape[1:]))
    exact = layer.infer(shape)
    assert len(loose) == len(exact)
    assert all(a is None or a == b for a, b in zip(loose, exact, strict=True))


@every()
def test_arguments_round_trip_through_json(name):
    kind = lookup("layers", name)
    layer, shape = built(name)
    config = json.loads(json.dumps(layer.config()))
    again = kind.from_config(config)
    assert again.config() == layer.config()
    assert not again.built
    again.build(shape)
    again.load_state_dict(layer.state_dict())
    x = inputs_for(name, shape)
    assert equal(again.eval()(x), layer.eval()(x))


@every()
def test_arguments_are_stored_under_their_names(name):
    layer, _ = lookup("layers", name).sample()
    for parameter in inspect.signature(type(layer).__init__).parameters.values():
        if parameter.name != "self" and parameter.kind is not parameter.VAR_KEYWORD:
            assert hasattr(layer, parameter.name)
    assert "input_shape" in layer.config()


@every(CHAINED)
def test_input_shape_is_accepted(name):
    kind = lookup("layers", name)
    layer, shape = kind.sample()
    assert kind.from_config({**layer.config(), "input_shape": shape}).input_shape == shape


@every()
def test_unknown_arguments_are_refused_with_the_near_miss(name):
    kind = lookup("layers", name)
    config = kind.sample()[0].config()
    with pytest.raises(ConfigError, match="Did you mean 'trainable'"):
        kind.from_config({**config, "trainabel": True})


@every(SMOOTH)
def test_gradients_flow(name):
    layer, shape = built(name)
    x = inputs_for(name, shape)
    several = x if isinstance(x, list) else [x]
    for one in several:
        if one.is_floating_point():
            one.requires_grad_(True)
    with drawing_from(torch.Generator().manual_seed(3)):
        y = first(layer.train()(x))
    (y * torch.randn(y.shape, generator=torch.Generator().manual_seed(9))).sum().backward()
    for one in several:
        if one.is_floating_point():
            assert one.grad is not None
            assert one.grad.abs().sum() > 0
    for weight_name, weight in layer.named_parameters():
        assert weight.grad is not None, weight_name
        assert torch.isfinite(weight.grad).all(), weight_name


@every()
def test_weights_start_from_the_generator(name):
    first, _ = built(name, seed=4)
    second, _ = built(name, seed=4)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


@every()
def test_keras_weights_go_out_and_in(name):
    layer, shape = built(name)
    other, _ = built(name, seed=2)
    source = np.random.default_rng(0)
    given = [source.random(a.shape).astype(a.dtype) for a in layer.keras_weights()]
    layer.load_keras_weights(given)
    for a, b in zip(layer.keras_weights(), given, strict=True):
        np.testing.assert_array_equal(a, b)
    other.load_keras_weights(layer.keras_weights())
    x = inputs_for(name, shape)
    assert equal(layer.eval()(x), other.eval()(x))
    if given:
        with pytest.raises(ShapeError, match="expected weights of shapes"):
            layer.load_keras_weights(given[:-1])


@every(TENSORS)
def test_works_in_a_plain_torch_chain(name):
    layer, shape = built(name)
    chain = nn.Sequential(nn.Identity(), layer).eval()
    x = inputs_for(name, shape)
    assert equal(chain(x), layer(x))
    assert set(chain.state_dict()) == {f"1.{key}" for key in layer.state_dict()}


@every()
def test_modes(name):
    layer, shape = built(name)
    x = inputs_for(name, shape)
    layer.eval()
    before = layer(x)
    assert equal(before, layer(x))  # nothing drawn, nothing learned
    layer.train()
    assert shapes_of(layer(x)) == shapes_of(before)
    if not layer.draws and not layer.uses_batch_statistics:
        assert torch.allclose(first(layer(x)), first(before), atol=1e-6)


@every()
def test_training_leaves_the_input_alone(name):
    layer, shape = built(name)
    x = inputs_for(name, shape)
    before = copy.deepcopy(x)
    layer.train()(x)
    pairs = zip(x, before, strict=True) if isinstance(x, list) else [(x, before)]
    assert all((np.asarray(a) == np.asarray(b)).all() for a, b in pairs)


@every(DRAWING)
def test_draws_come_from_the_thread_generator(name):
    layer, shape = built(name)
    x = inputs_for(name, shape)
    results = []
    for _ in range(2):
        torch.rand(7)  # the global generator moves on
        with drawing_from(torch.Generator().manual_seed(5)):
            results.append(layer.train()(x))
    assert torch.equal(*results)
    before = torch.get_rng_state()
    with drawing_from(torch.Generator().manual_seed(6)):
        other = layer(x)
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(other, results[0])


@every()
def test_examples_of_a_batch_do_not_touch_each_other(name):
    layer, shape = built(name)
    x = inputs_for(name, shape, batch=3)
    whole = first(layer.eval()(x))
    alone = first(layer([one[1:2] for one in x] if isinstance(x, list) else x[1:2]))
    assert torch.allclose(whole[1:2], alone, atol=1e-6)


@every()
def test_copies_and_pickles(name):
    layer, shape = built(name)
    x = inputs_for(name, shape)
    y = layer.eval()(x)
    assert equal(copy.deepcopy(layer)(x), y)
    assert equal(pickle.loads(pickle.dumps(layer))(x), y)  # noqa: S301


@every()
def test_symbols(name):
    layer, shape = lookup("layers", name).sample()
    several = is_shapes(shape)
    made = layer([Input(one) for one in shape] if several else Input(shape))
    symbols = made if isinstance(made, list) else [made]
    assert all(isinstance(symbol, Symbol) and symbol.layer is layer for symbol in symbols)
    assert layer.built
    shapes = layer.output_shape_
    assert tuple(s.shape for s in symbols) == (shapes if is_shapes(shapes) else (shapes,))


@every(SMOOTH)
def test_double_precision(name):
    layer, shape = built(name)
    x = inputs_for(name, shape)
    y = first(layer.eval()(x))
    wide = copy.deepcopy(layer).double()
    doubled = (
        x
        if name in WHOLE_NUMBERS
        else ([one.double() for one in x] if isinstance(x, list) else x.double())
    )
    z = first(wide(doubled))
    assert z.dtype == torch.float64
    assert torch.allclose(y.double(), z, atol=1e-5)


@every(MASKED)
def test_lengths_make_padding_harmless(name):
    layer, shape = built(name)
    if name == "BatchNormalization":
        shape = shape[1:]  # a sequence in place of the sample's maps
        layer = type(layer)()
        layer.build(shape)
    x = inputs_for(name, shape, batch=2)
    # Of several inputs the second is the one attended to, whose lengths are meant.
    several = isinstance(x, list)
    padded = to_written(x[1] if several and name != "TransformerDecoder" else first(x)).clone()
    steps = padded.shape[1]
    kept = steps - (2 if steps > 3 else 1)
    lengths = torch.tensor([steps, kept])
    padded[1, kept:] = 99.0
    noisy = from_written(padded)
    if several:
        noisy = [noisy, x[1]] if name == "TransformerDecoder" else [x[0], noisy]
    layer.eval()
    y, after = call(layer, x, lengths)
    z, _ = call(layer, noisy, lengths)
    y, z = to_written(first(y)), to_written(first(z))
    if after is not None:
        y, z = y[1, : after[1]], z[1, : after[1]]
        if not several:
            cut = from_written(to_written(x)[1:2, :kept])
            alone = to_written(first(call(layer, cut)[0]))
            assert torch.allclose(y, alone[0, : after[1]], atol=1e-6)
    assert torch.equal(y, z)


@every(ACTIVATED)
def test_activated_layers_give_what_comes_before(name):
    layer, shape = built(name)
    x = inputs_for(name, shape)
    assert layer.activation in ACTIVATIONS
    assert torch.allclose(layer.activate(layer.linear(x)), layer(x), atol=1e-6)


@every(CHOOSY)
def test_wrong_ranks_are_refused_by_name(name):
    layer, shape = built(name)
    wrong = inputs_for(name, shape).unsqueeze(1).unsqueeze(1).unsqueeze(1)
    with pytest.raises(LeptonError, match="expected .* received"):
        layer(wrong)


@every(GRAPHS)
def test_exports_with_a_batch_of_any_size(name):
    layer, shape = built(name)
    x = inputs_for(name, shape, batch=3)
    any_size = torch.export.Dim("batch")
    several = isinstance(x, list)
    sizes = ([{0: any_size} for _ in x],) if several else ({0: any_size},)
    taken = list(inspect.signature(layer.forward).parameters.values())[0]
    if several and taken.kind is taken.VAR_POSITIONAL:
        sizes = (sizes,)
    program = torch.export.export(layer.eval(), (x,), dynamic_shapes=sizes)
    again = inputs_for(name, shape, batch=2, seed=7)
    found, expected = program.module()(again), layer(again)
    pairs = zip(flat(found), flat(expected), strict=True)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in pairs)


@every(SMOOTH)
def test_mixed_precision(name):
    layer, shape = built(name)
    x = inputs_for(name, shape)
    layer.train(layer.uses_batch_statistics)
    exact = first(copy.deepcopy(layer)(x))
    halved = (
        x
        if name in WHOLE_NUMBERS
        else ([one.bfloat16() for one in x] if isinstance(x, list) else x.bfloat16())
    )
    with torch.autocast("cpu", torch.bfloat16):
        y = first(layer(halved))
        if y.requires_grad:
            y.float().sum().backward()
    assert torch.allclose(y.float(), exact, atol=0.1, rtol=0.1)
    assert all(w.grad is None or w.grad.dtype == torch.float32 for w in layer.parameters())
