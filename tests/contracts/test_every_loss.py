"""What every loss of the registry promises; a new loss is tested by being listed."""

from __future__ import annotations

import inspect
import json

import pytest
import torch
from torch import Tensor

from lepton_ai import losses
from lepton_ai.errors import DataError, LeptonError, ShapeError, UnknownNameError
from lepton_ai.losses.loss import Loss
from lepton_ai.registry import lookup, names

EVERY = names("losses")
LABELS = torch.tensor([0, 1, 1, 0, 2, 2])
EMBEDDINGS = ("triplet", "info_nce", "circle")
YES_OR_NO = (
    "binary_crossentropy", "binary_focal_crossentropy", "hinge", "squared_hinge", "lovasz_hinge",
    "contrastive",
)  # fmt: skip


def draw(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()


def case(name: str, scale: float = 1.0) -> tuple[Tensor, Tensor, str]:
    """Outputs before their last activation, what is expected, and the activation."""
    kind = lookup("losses", name)
    if name in EMBEDDINGS:
        return draw(6, 4, scale=scale), LABELS, "linear"
    if name == "ctc":
        labels = torch.tensor([[1, 2], [3, 0], [2, 2], [1, 0], [1, 1], [3, 2]])
        return draw(6, 5, 4, scale=scale), labels, "softmax"
    if name == "gaussian_nll":
        return draw(6, 2, scale=scale), draw(6, seed=1), "linear"
    if name == "poisson":
        return draw(6, 2, scale=scale), draw(6, 2, seed=1).abs(), "softplus"
    if name in YES_OR_NO:
        expected = (draw(6, 2, seed=1) > 0).long()
        plain = "hinge" in name or name == "contrastive"
        return draw(6, 2, scale=scale), expected, "linear" if plain else "sigmoid"
    if kind.classes or name == "kl_divergence":
        activation = "linear" if name == "categorical_hinge" else "softmax"
        return draw(6, 3, scale=scale), LABELS, activation
    return draw(6, 2, scale=scale), draw(6, 2, seed=1).abs(), "linear"


def every(chosen: list[str] = EVERY):
    return pytest.mark.parametrize("name", chosen)


@every()
def test_names_and_arguments_round_trip(name):
    loss = losses.get(name)
    assert isinstance(loss, Loss)
    assert losses.get(loss) is loss
    again = losses.from_config(json.loads(json.dumps(loss.to_config())))
    assert type(again) is type(loss)
    assert again.to_config() == loss.to_config()
    assert set(loss.config()) == set(inspect.signature(type(loss)).parameters)


@every()
def test_a_sum_and_a_count_for_each_example(name):
    logits, expected, activation = case(name)
    sums, counts = losses.get(name)(logits, expected, activation)
    assert sums.shape == counts.shape == (6,)
    assert sums.dtype == counts.dtype == logits.dtype
    assert torch.isfinite(sums).all()
    assert (counts >= 0).all()
    assert counts.sum() > 0


@every()
def test_gradients_are_those_of_finite_differences(name):
    logits, expected, activation = case(name)
    loss = losses.get(name)

    def mean(x: Tensor) -> Tensor:
        sums, counts = loss(x, expected, activation)
        return sums.sum() / counts.sum()

    assert torch.autograd.gradcheck(mean, (logits.requires_grad_(True),), atol=1e-5, rtol=1e-3)


@every()
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_stable_at_large_outputs(name, sign):
    logits, expected, activation = case(name)
    large = (sign * 1e4 * logits.sign()).float().requires_grad_(True)
    sums, counts = losses.get(name)(large, expected, activation)
    assert torch.isfinite(sums).all()
    (sums.sum() / counts.sum().clamp_min(1)).backward()
    assert torch.isfinite(large.grad).all()


@every()
def test_following_the_gradient_makes_it_smaller(name):
    logits, expected, activation = case(name)
    logits = logits.requires_grad_(True)
    optimizer = torch.optim.Adam([logits], 0.05)
    figures = []
    for _ in range(40):
        sums, counts = losses.get(name)(logits, expected, activation)
        loss = sums.sum() / counts.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        figures.append(float(loss.detach()))
    assert figures[-1] < figures[0] - 0.01 * abs(figures[0])


@every()
def test_all_alike_outputs_are_finite(name):
    logits, expected, activation = case(name)
    flat = torch.zeros_like(logits).requires_grad_(True)
    sums, _ = losses.get(name)(flat, expected, activation)
    assert torch.isfinite(sums).all()
    sums.sum().backward()
    assert torch.isfinite(flat.grad).all()


@every()
def test_examples_are_independent_unless_it_says_joint(name):
    logits, expected, activation = case(name)
    loss = losses.get(name)
    whole = loss(logits, expected, activation)
    parts = [loss(logits[i : i + 2], expected[i : i + 2], activation) for i in (0, 2, 4)]
    same = all(
        torch.allclose(whole[k], torch.cat([part[k] for part in parts]), atol=1e-9) for k in (0, 1)
    )
    assert same != loss.joint


@every()
def test_outputs_that_do_not_fit_are_refused(name):
    logits, expected, activation = case(name)
    with pytest.raises(ShapeError, match=r"(?s)[Ee]xpected .*(received|gives|has).*Type: "):
        losses.get(name)(logits, expected.reshape(6, -1)[:, :1, None].expand(6, 5, 7), activation)


@every([n for n in EVERY if lookup("losses", n).classes])
def test_labels_outside_of_the_classes_are_refused(name):
    logits, expected, activation = case(name)
    for wrong in (9, -5):
        labels = expected.clone()
        labels[2] = wrong
        with pytest.raises(DataError, match=rf"(?s)Expected .* received {wrong}\. Type: "):
            losses.get(name)(logits, labels, activation)


@every([n for n in EVERY if lookup("losses", n).classes and n not in YES_OR_NO])
def test_numbers_and_one_hot_rows_are_the_same(name):
    logits, expected, activation = case(name)
    rows = torch.nn.functional.one_hot(expected, 3)
    first = losses.get(name)(logits, expected, activation)
    for again in (rows, rows.float(), expected[:, None], expected.float()):
        other = losses.get(name)(logits, again, activation)
        assert torch.allclose(first[0], other[0])
        assert torch.equal(first[1], other[1])


@every([n for n in EVERY if lookup("losses", n).classes and n not in ("hinge", "squared_hinge")])
def test_unlabelled_examples_do_not_count(name):
    logits, expected, activation = case(name)
    loss = losses.get(name)
    hidden = expected.clone()
    hidden[4:] = -1
    sums, counts = loss(logits, hidden, activation)
    kept = loss(logits[:4], expected[:4], activation)
    found, wanted = sums.sum() / counts.sum(), kept[0].sum() / kept[1].sum()
    assert torch.allclose(found, wanted)
    if not loss.joint:
        assert counts[4:].tolist() == [0, 0]


@every([n for n in EVERY if "label_smoothing" in inspect.signature(lookup("losses", n)).parameters])
def test_label_smoothing_moves_the_best_answer_inwards(name):
    logits, expected, activation = case(name)
    smooth = lookup("losses", name)(label_smoothing=0.2)
    plain = losses.get(name)
    assert not torch.allclose(
        smooth(logits, expected, activation)[0], plain(logits, expected, activation)[0]
    )


@every()
def test_near_misses_are_offered(name):
    with pytest.raises(UnknownNameError, match="Did you mean"):
        losses.get(name + "x")


def test_aliases():
    for alias, wanted in losses._ALIASES.items():
        assert type(losses.get(alias)) is lookup("losses", wanted)
        assert type(losses.get(alias.upper())) is lookup("losses", wanted)
    with pytest.raises(UnknownNameError, match="Did you mean 'mape'"):
        losses.get("mapee")
    with pytest.raises(LeptonError, match="Expected the name of a loss"):
        losses.get(3)
