"""Losses that Keras lacks: those of PyTorch, and published formulas written out plainly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai import losses
from lepton_ai.errors import ConfigError, DataError, ShapeError


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()


def mean(loss, logits, expected, activation="linear"):
    sums, counts = loss(logits, expected, activation)
    return sums.sum() / counts.sum()


def same_gradient(ours, theirs, logits):
    a, b = (logits.clone().requires_grad_(True) for _ in range(2))
    found, wanted = ours(a), theirs(b)
    torch.testing.assert_close(found, wanted, atol=1e-9, rtol=1e-7)
    found.backward()
    wanted.backward()
    torch.testing.assert_close(a.grad, b.grad, atol=1e-9, rtol=1e-7)
    assert a.grad.abs().sum() > 0


# Of quantities and distributions


@pytest.mark.parametrize("full", [False, True])
def test_gaussian_nll_is_that_of_torch(full):
    expected = draw(5, 2, seed=1)

    def theirs(outputs):
        means, logs = outputs.split(2, dim=-1)
        return F.gaussian_nll_loss(means, expected, logs.exp(), full=full)

    same_gradient(lambda x: mean(losses.GaussianNLL(full), x, expected), theirs, draw(5, 4))


def test_a_variance_that_is_too_small_can_grow_again():
    outputs = torch.tensor([[0.0, -50.0]], requires_grad=True)
    mean(losses.GaussianNLL(), outputs, torch.tensor([1.0])).backward()
    assert float(outputs.grad[0, 1]) < 0
    with pytest.raises(ShapeError, match=r"Type: Dense\(4\)"):
        losses.GaussianNLL()(draw(5, 3), draw(5, 2), "linear")


@given(
    st.lists(st.floats(-100, 100), min_size=1, max_size=40), st.floats(0.05, 0.95)
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_the_best_constant_is_the_quantile(values, level):
    """Koenker and Bassett 1978: no constant does better than the empirical quantile."""
    data = torch.tensor(values, dtype=torch.float64)
    best = np.quantile(values, level, method="inverted_cdf")

    def cost(constant):
        return float(mean(losses.Quantile(level), torch.full_like(data, constant), data))

    assert all(cost(float(best)) <= cost(value) + 1e-9 for value in values)


def test_several_quantiles_are_the_mean_of_each():
    outputs, expected = draw(6, 3), draw(6, seed=1)
    levels = [0.1, 0.5, 0.8]
    each = [mean(losses.Quantile(level), outputs[:, i], expected) for i, level in enumerate(levels)]
    assert torch.allclose(mean(losses.Quantile(levels), outputs, expected), sum(each) / 3)
    assert torch.allclose(each[1], (outputs[:, 1] - expected).abs().mean() / 2)
    with pytest.raises(ShapeError, match=r"Type: Dense\(3\)"):
        losses.Quantile(levels)(outputs[:, :2], expected, "linear")
    with pytest.raises(ConfigError, match="between 0 and 1"):
        losses.Quantile(1.0)


def test_poisson_from_logarithms_and_negative_rates():
    logs, expected = draw(5, 2), draw(5, 2, seed=1).abs()
    wanted = F.poisson_nll_loss(logs, expected, log_input=True)
    assert torch.allclose(mean(losses.Poisson(from_logits=True), logs, expected), wanted)
    with pytest.raises(DataError, match="softplus"):
        losses.Poisson()(logs, expected, "linear")


def test_kl_divergence_of_numbers_is_cross_entropy():
    logits, numbers = draw(5, 4), torch.tensor([0, 1, 2, 3, 3])
    found = mean(losses.KLDivergence(), logits, numbers, "softmax")
    assert torch.allclose(found, F.cross_entropy(logits, numbers), atol=1e-5)


# Of classes


@pytest.mark.parametrize("alpha", [None, 0.3, [0.2, 0.5, 0.3, 1.0]])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_is_the_formula(gamma, alpha):
    numbers = torch.tensor([0, 1, 2, 3, 3])
    weight = torch.ones(4).double() if alpha is None else torch.as_tensor(alpha).double().expand(4)

    def theirs(logits):
        p = logits.softmax(-1)[torch.arange(5), numbers]
        return -(weight[numbers] * (1 - p) ** gamma * p.log()).mean()

    loss = losses.Focal(gamma, alpha)
    same_gradient(lambda x: mean(loss, x, numbers, "softmax"), theirs, draw(5, 4))


def test_focal_refuses_weights_of_other_classes():
    with pytest.raises(ShapeError, match="each of the 4 classes"):
        losses.Focal(alpha=[1.0, 2.0])(draw(2, 4), torch.tensor([0, 1]), "softmax")


def test_sparse_crossentropy_with_smoothing_is_that_of_torch():
    logits, numbers = draw(6, 4), torch.tensor([0, 1, 2, 3, -1, 255])
    loss = losses.SparseCategoricalCrossentropy(ignore_class=255, label_smoothing=0.2)
    wanted = F.cross_entropy(logits[:4], numbers[:4], label_smoothing=0.2)
    assert torch.allclose(mean(loss, logits, numbers, "softmax"), wanted)


def test_yes_and_no_of_other_numbers_are_refused_with_what_takes_them():
    with pytest.raises(DataError, match="loss='hinge'"):
        losses.BinaryCrossentropy()(draw(2, 1), torch.tensor([1.0, -1.0]), "sigmoid")
    with pytest.raises(DataError, match=r"Dense\(4, activation='softmax'\)"):
        losses.BinaryCrossentropy()(draw(2, 1), torch.tensor([1, 3]), "sigmoid")
    with pytest.raises(DataError, match="mean_squared_error"):
        losses.BinaryCrossentropy()(draw(2, 1), torch.tensor([0.3, 1.4]), "sigmoid")


def test_the_generalized_cross_entropy_stands_between():
    logits, numbers = draw(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    near = mean(losses.CategoricalGeneralizedCrossEntropy(1e-6), logits, numbers, "softmax")
    far = mean(losses.CategoricalGeneralizedCrossEntropy(1 - 1e-6), logits, numbers, "softmax")
    right = logits.softmax(-1)[torch.arange(6), numbers]
    assert float(near) == pytest.approx(float(F.cross_entropy(logits, numbers)), abs=1e-4)
    assert float(far) == pytest.approx(float((1 - right).mean()), abs=1e-4)
    with pytest.raises(ConfigError, match="Expected q"):
        losses.CategoricalGeneralizedCrossEntropy(1.0)


# Lovász, by its definition: gaps in order, times what each more missed place costs


def jaccard_loss(missed, truth):
    """One minus intersection over union when the places of ``missed`` are wrong."""
    truth = truth.astype(bool)
    inside, union = (truth & ~missed).sum(), (truth | missed).sum()
    return 1 - inside / union if union else 0.0


def lovasz(gaps, truth):
    order = sorted(range(len(gaps)), key=lambda i: -gaps[i])
    missed, total, before = np.zeros(len(gaps), bool), 0.0, 0.0
    for place in order:
        missed[place] = True
        now = jaccard_loss(missed, truth)
        total += gaps[place] * (now - before)
        before = now
    return total


def test_lovasz_softmax_is_the_extension():
    logits, numbers = draw(2, 3, 4, 3), torch.randint(3, (2, 3, 4))
    numbers[1] = numbers[1].clamp_max(1)
    numbers[0, 0, 0] = -1
    shares = logits.softmax(-1)

    def by_hand(p, y):
        p, y = p.reshape(-1, 3).numpy(), y.reshape(-1).numpy()
        p, y = p[y >= 0], y[y >= 0]
        kinds = [k for k in range(3) if (y == k).any()]
        return sum(lovasz(np.abs((y == k) - p[:, k]), y == k) for k in kinds) / len(kinds)

    whole = mean(losses.LovaszSoftmax(), logits, numbers, "softmax")
    assert float(whole) == pytest.approx(by_hand(shares, numbers), abs=1e-9)
    sums, _ = losses.LovaszSoftmax(per_example=True)(logits, numbers, "softmax")
    for i in range(2):
        assert float(sums[i]) == pytest.approx(by_hand(shares[i], numbers[i]), abs=1e-9)


@pytest.mark.parametrize("alone", [True, False])
def test_lovasz_hinge_is_the_extension(alone):
    logits, truth = draw(3, 4, 4, 1), torch.randint(2, (3, 4, 4))
    truth[0] = 0  # nothing to find
    sums, _ = losses.LovaszHinge(per_example=alone)(logits, truth, "sigmoid")
    gaps = (1 - logits[..., 0] * (2 * truth - 1)).clamp_min(0).numpy()
    for i in range(3):
        place = slice(i, i + 1) if alone else slice(None)
        wanted = lovasz(gaps[place].reshape(-1), truth[place].numpy().reshape(-1))
        assert float(sums[i]) == pytest.approx(wanted, abs=1e-9)


def test_at_corners_lovasz_is_one_minus_intersection_over_union():
    truth = torch.tensor([[0, 1, 1, 2, 2, 0]])
    said = torch.tensor([[0, 1, 2, 2, 2, 1]])
    sure = 1e3 * F.one_hot(said, 3).double()
    figures = [
        1 - ((said == k) & (truth == k)).sum() / ((said == k) | (truth == k)).sum()
        for k in range(3)
    ]
    found = mean(losses.LovaszSoftmax(), sure, truth, "softmax")
    assert float(found) == pytest.approx(float(sum(figures) / 3), abs=1e-6)


# Of embeddings


def test_contrastive():
    distance, alike = torch.tensor([[0.5], [0.5], [3.0]]), torch.tensor([1, 0, 0])
    sums, _ = losses.Contrastive(margin=2.0)(distance, alike, "linear")
    assert sums.tolist() == [0.25, 2.25, 0.0]


LABELS = [0, 0, 1, 1, 2, 0, 1, 7]


def triplets(rows, mining):
    """Triplets by their definition: indices of anchor, positive and negative."""
    far = torch.cdist(rows, rows)
    found = []
    for a in range(len(LABELS)):
        likes = [i for i in range(len(LABELS)) if LABELS[i] == LABELS[a] and i != a]
        others = [i for i in range(len(LABELS)) if LABELS[i] != LABELS[a]]
        if mining == "hard" and likes:
            likes = [max(likes, key=lambda i: far[a, i])]
        for p in likes:
            beyond = [i for i in others if far[a, i] > far[a, p]]
            if mining == "hard" or beyond:
                n = min(beyond if mining != "hard" else others, key=lambda i: far[a, i])
            else:
                n = max(others, key=lambda i: far[a, i])
            found.append((a, p, n))
    return torch.tensor(found).T


@pytest.mark.parametrize("mining", ["hard", "semi_hard"])
@pytest.mark.parametrize("seed", range(4))
def test_triplet_is_that_of_torch_on_the_triplets_it_should_find(mining, seed):
    rows = draw(8, 3, seed=seed)
    a, p, n = triplets(rows, mining)

    def theirs(x):
        return F.triplet_margin_loss(x[a], x[p], x[n], margin=0.7, eps=0.0)

    loss = losses.Triplet(0.7, mining)
    same_gradient(lambda x: mean(loss, x, torch.tensor(LABELS)), theirs, rows)
    assert loss.joint


def test_triplet_of_lengths_one_and_of_squares():
    rows, labels = draw(8, 3), torch.tensor(LABELS)
    unit = F.normalize(rows, dim=-1)
    normal = mean(losses.Triplet(normalize=True), rows, labels)
    assert torch.allclose(normal, mean(losses.Triplet(), unit, labels))
    assert not torch.allclose(mean(losses.Triplet(squared=True), unit, labels), normal)
    with pytest.raises(ConfigError, match="Did you mean 'semi_hard'"):
        losses.Triplet(mining="semihard")


@pytest.mark.parametrize("name", ["Triplet", "InfoNCE", "Circle"])
def test_a_batch_of_one_kind_has_no_loss(name):
    rows = draw(3, 4).requires_grad_(True)
    for labels in ([1, 2, 3], [-1, -1, 4]):
        sums, counts = getattr(losses, name)()(rows, torch.tensor(labels), "linear")
        assert counts.sum() == 0
        assert sums.sum() == 0
        sums.sum().backward()
        assert torch.isfinite(rows.grad).all()


def test_info_nce_is_the_formula():
    rows, t = draw(8, 3), 0.2

    def theirs(x):
        unit = x / x.norm(dim=-1, keepdim=True)
        total, count = 0.0, 0
        for a in range(8):
            likes = [i for i in range(8) if LABELS[i] == LABELS[a] and i != a]
            if not likes:
                continue
            below = sum(torch.exp(unit[a] @ unit[k] / t) for k in range(8) if k != a)
            total -= sum(torch.log(torch.exp(unit[a] @ unit[p] / t) / below) for p in likes) / len(
                likes
            )
            count += 1
        return total / count

    same_gradient(lambda x: mean(losses.InfoNCE(t), x, torch.tensor(LABELS)), theirs, rows)


def test_two_views_of_examples_are_one_batch():
    views, numbers = draw(4, 2, 3), torch.arange(4)
    found = mean(losses.InfoNCE(), views, numbers)
    flat = mean(losses.InfoNCE(), views.reshape(8, 3), numbers.repeat_interleave(2))
    assert torch.allclose(found, flat)
    one_hot = mean(losses.InfoNCE(), views, F.one_hot(numbers))
    assert torch.allclose(found, one_hot)


# Of sequences


def test_ctc_is_that_of_torch():
    logits, labels = draw(3, 8, 5), torch.tensor([[1, 2, 2], [4, -1, -1], [3, 1, 0]])
    lengths = torch.tensor([3, 1, 2])

    def theirs(x):
        logs = x.log_softmax(-1).transpose(0, 1)
        whole = torch.full((3,), 8)
        return F.ctc_loss(logs, labels.clamp_min(0), whole, lengths, reduction="none").mean()

    for activation in ("linear", "softmax"):
        same_gradient(lambda x, a=activation: mean(losses.CTC(), x, labels, a), theirs, logits)


def test_ctc_counts_every_way_to_read_the_labels():
    logits, label = draw(1, 3, 3), torch.tensor([[1, 2]])
    p = logits[0].softmax(-1)
    ways = [(0, 1, 2), (1, 0, 2), (1, 2, 0), (1, 1, 2), (1, 2, 2)]
    chance = sum(math.prod(float(p[t, c]) for t, c in enumerate(way)) for way in ways)
    assert float(mean(losses.CTC(), logits, label)) == pytest.approx(-math.log(chance))


def test_ctc_refuses_what_cannot_be_read():
    with pytest.raises(DataError, match="zero_infinity=True"):
        losses.CTC()(draw(1, 3, 4), torch.tensor([[1, 1, 2]]), "linear")
    sums, _ = losses.CTC(zero_infinity=True)(draw(1, 3, 4), torch.tensor([[1, 1, 2]]), "linear")
    assert sums.tolist() == [0]
    with pytest.raises(DataError, match="behind the filling"):
        losses.CTC()(draw(1, 5, 4), torch.tensor([[0, 1, 2]]), "linear")
    with pytest.raises(DataError, match="from 0 to 3"):
        losses.CTC()(draw(1, 5, 4), torch.tensor([[1, 9]]), "linear")
    with pytest.raises(ShapeError, match="return_sequences"):
        losses.CTC()(draw(5, 4), torch.tensor([[1, 2]] * 5), "linear")
