"""Steps against PyTorch's own optimisers, and against formulas written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lepton_ai import optimizers
from lepton_ai.errors import ConfigError
from lepton_ai.optimizers.orthogonal import orthogonal

STEPS = 10


def twins(*shapes, seed=0, layout=torch.contiguous_format):
    """Two equal lists of parameters."""
    rng = torch.Generator().manual_seed(seed)
    start = [torch.randn(shape, generator=rng) for shape in shapes]
    start = [one.to(memory_format=layout) if one.ndim == 4 else one for one in start]
    return [nn.Parameter(one.clone()) for one in start], [nn.Parameter(one) for one in start]


def run(optimizer, parameters, rates=None, seed=1):
    """Some steps with gradients that depend on the seed and on the weights."""
    rng = torch.Generator().manual_seed(seed)
    for number in range(STEPS):
        for group in optimizer.param_groups if rates else ():
            group["lr"] = rates[number]
        for parameter in parameters:
            noise = torch.randn(parameter.shape, generator=rng)
            parameter.grad = 0.5 * parameter.detach() + noise
        optimizer.step()


def compare(one, other, tolerance):
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)


RATES = [0.1 * 0.8**number for number in range(STEPS)]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_is_torch_s_while_the_rate_changes(momentum):
    a, b = twins((4, 3), (3,), (2, 3, 3, 3), layout=torch.channels_last)
    run(optimizers.SGD(0.1, momentum).make(a), a, RATES)
    run(torch.optim.SGD(b, 0.1, momentum, foreach=False), b, RATES)
    compare(a, b, 1e-6)


def test_adamw_is_torch_s():
    a, b = twins((4, 3), (2, 3, 3, 3), layout=torch.channels_last)
    run(optimizers.AdamW(0.1, 0.3).make(a), a, RATES)
    run(torch.optim.AdamW(b, 0.1, eps=1e-7, weight_decay=0.3, foreach=False), b, RATES)
    compare(a, b, 1e-6)


def test_nadam_is_torch_s_with_the_paper_s_warm_up():
    a, b = twins((4, 3), (5, 2))
    run(optimizers.Nadam(0.1, weight_decay=0.3).make(a), a, RATES)
    theirs = torch.optim.NAdam(
        b, 0.1, eps=1e-7, weight_decay=0.3, momentum_decay=1.0, decoupled_weight_decay=True
    )
    run(theirs, b, RATES)
    compare(a, b, 1e-5)


@pytest.mark.parametrize(("name", "theirs", "arguments"), [
    ("Adadelta", torch.optim.Adadelta, {"rho": 0.95, "eps": 1e-7}),
    ("Adamax", torch.optim.Adamax, {"eps": 1e-7}),
])  # fmt: skip
def test_adadelta_and_adamax_are_torch_s(name, theirs, arguments):
    a, b = twins((4, 3), (3,))
    run(getattr(optimizers, name)(0.1).make(a), a, RATES)
    run(theirs(b, lr=0.1, **arguments), b, RATES)
    compare(a, b, 1e-5)


def test_adafactor_is_torch_s_on_matrices_and_vectors():
    a, b = twins((4, 3), (3,))
    run(optimizers.Adafactor(0.1, weight_decay=0.2).make([{"params": a, "weight_decay": 0.0}]), a)
    run(torch.optim.Adafactor(b, lr=0.1, eps=(1e-30, 1e-3)), b)
    compare(a, b, 1e-5)


def test_adafactor_without_relative_steps_keeps_its_rate():
    rate, moved = 0.9, {}
    for relative in (True, False):
        weight = nn.Parameter(torch.full((4,), 2.0))
        made = optimizers.Adafactor(rate, relative_step=relative).make([weight])
        for _ in range(9):
            before = weight.detach().clone()
            weight.grad = torch.ones(4)
            made.step()
        moved[relative] = (before - weight.detach()) / before.square().mean().sqrt()
    torch.testing.assert_close(moved[True], torch.full((4,), 9**-0.5))
    torch.testing.assert_close(moved[False], torch.full((4,), rate))


# -- Muon ----------------------------------------------------------------------------------


@pytest.mark.parametrize("nesterov", [True, False])
def test_muon_is_torch_s(nesterov):
    """PyTorch works in bfloat16, whose rounding is what the two differ by."""
    a, b = twins((6, 4), (4, 6), (6, 4), (12, 3))
    recipe = optimizers.Muon(0.1, weight_decay=0.3, nesterov=nesterov, precision="bfloat16")
    run(recipe.make(a), a, RATES)
    theirs = torch.optim.Muon(
        b, 0.1, weight_decay=0.3, nesterov=nesterov, adjust_lr_fn="match_rms_adamw"
    )
    run(theirs, b, RATES)
    compare(a, b, 2e-2)
    exact, start = twins((6, 4), (4, 6), (6, 4), (12, 3))
    run(optimizers.Muon(0.1, weight_decay=0.3, nesterov=nesterov).make(exact), exact, RATES)
    compare(a, exact, 2e-2)
    assert all((x - y).abs().max() > 0.1 for x, y in zip(exact, start, strict=True))


def test_muon_sees_a_kernel_as_a_matrix():
    kernel, matrix = twins((5, 2, 3, 3), layout=torch.channels_last)
    flat = [nn.Parameter(matrix[0].detach().flatten(1).clone())]
    made = [optimizers.Muon(0.1).make(one) for one in (kernel, flat)]
    assert [group["muon"] for one in made for group in one.param_groups] == [True, True]
    run(made[0], kernel)
    run(made[1], flat)
    torch.testing.assert_close(kernel[0].flatten(1), flat[0])


def test_muon_gives_vectors_and_what_is_excluded_to_adamw():
    names = ["layers.0.embeddings", "layers.1.weight", "layers.1.bias", "head.weight", "token"]
    shapes = [(9, 4), (4, 4), (4,), (4, 3), (1, 1, 4)]
    a, b = twins(*shapes)
    recipe = optimizers.Muon(
        0.1, adam_weight_decay=0.2, weight_decay=0.3, exclude_layers=["^head"], adam_lr_ratio=0.5
    )
    made = recipe.make(zip(names, a, strict=True))
    found = {
        id(p): (group["muon"], group["lr"], group["weight_decay"])
        for group in made.param_groups for p in group["params"]
    }  # fmt: skip
    assert [found[id(p)] for p in a] == [
        (False, 0.05, 0.2), (True, 0.1, 0.3), (False, 0.05, 0.0), (False, 0.05, 0.2),
        (False, 0.05, 0.2),
    ]  # fmt: skip
    run(made, a)
    adam = [{"params": [b[0], b[3], b[4]], "weight_decay": 0.2},
            {"params": [b[2]], "weight_decay": 0.0}]  # fmt: skip
    muon = optimizers.Muon(0.1, weight_decay=0.3).make([b[1]])
    theirs = torch.optim.AdamW(adam, 0.05, eps=1e-7)
    theirs.step = lambda step=theirs.step: (muon.step(), step())
    run(theirs, b)
    compare(a, b, 1e-5)


def test_muon_needs_names_to_exclude_by_name():
    with pytest.raises(ConfigError, match="named_parameters"):
        optimizers.Muon(exclude_layers=["head"]).make([nn.Parameter(torch.ones(2, 2))])


@pytest.mark.parametrize(("arguments", "says"), [
    ({"ns_steps": 0}, "ns_steps as a whole number"),
    ({"precision": "bfloat"}, "Did you mean 'bfloat16'"),
    ({"exclude_layers": "head"}, "exclude_layers=['head']"),
    ({"exclude_layers": ["("]}, "regular expressions"),
    ({"rms_rate": 0.0}, "rms_rate above 0"),
    ({"adam_lr_ratio": -1}, "adam_lr_ratio above 0"),
    ({"muon_b": float("nan")}, "muon_b as a number"),
    ({"adam_weight_decay": -1.0}, "adam_weight_decay of at least 0"),
])  # fmt: skip
def test_muon_refuses_what_cannot_be(arguments, says):
    with pytest.raises(ConfigError) as caught:
        optimizers.Muon(**arguments)
    assert says in str(caught.value)


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 6), more=st.integers(0, 5), seed=st.integers(0, 999),
       size=st.sampled_from([1e-3, 1.0, 1e4]))  # fmt: skip
def test_orthogonal_keeps_the_directions_and_makes_them_equally_long(rows, more, seed, size):
    rng = torch.Generator().manual_seed(seed)
    u = torch.linalg.qr(torch.randn(rows, rows, generator=rng, dtype=torch.float64)).Q
    v = torch.linalg.qr(torch.randn(rows + more, rows, generator=rng, dtype=torch.float64)).Q
    lengths = size * (0.2 + torch.rand(rows, generator=rng, dtype=torch.float64))
    made = orthogonal(((u * lengths) @ v.mT)[None])[0]
    inside = u.mT @ made @ v
    torch.testing.assert_close(inside, torch.diag(inside.diagonal()), atol=1e-6, rtol=0)
    assert inside.diagonal().min() > 0.5
    assert inside.diagonal().max() < 1.3
    torch.testing.assert_close((u @ inside) @ v.mT, made, atol=1e-6, rtol=0)


def test_nothing_comes_of_nothing():
    assert torch.equal(orthogonal(torch.zeros(2, 3, 4)), torch.zeros(2, 3, 4))


# -- formulas by hand ----------------------------------------------------------------------


def test_lamb_is_the_paper_s_formula():
    """You et al. 2020, algorithm 2, in numpy and float64."""
    a, b = twins((4, 3), (3, 5), seed=4)
    recipe = optimizers.Lamb(0.1, beta_1=0.8, beta_2=0.9, epsilon=1e-3, weight_decay=0.3)
    rng = torch.Generator().manual_seed(1)
    made = recipe.make(a)
    x = [one.detach().double().numpy().copy() for one in b]
    m, v = [0.0, 0.0], [0.0, 0.0]
    for t in range(1, STEPS + 1):
        for place, parameter in enumerate(a):
            g = torch.randn(parameter.shape, generator=rng)
            parameter.grad, g = g, g.double().numpy()
            m[place] = 0.8 * m[place] + 0.2 * g
            v[place] = 0.9 * v[place] + 0.1 * g**2
            r = (m[place] / (1 - 0.8**t)) / (np.sqrt(v[place] / (1 - 0.9**t)) + 1e-3)
            u = r + 0.3 * x[place]
            x[place] = x[place] - 0.1 * np.linalg.norm(x[place]) / np.linalg.norm(u) * u
        made.step()
    for parameter, expected in zip(a, x, strict=True):
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_lamb_moves_weights_that_are_nothing():
    weight = nn.Parameter(torch.zeros(3))
    made = optimizers.Lamb(0.1).make([weight])
    weight.grad = torch.tensor([1.0, -1.0, 0.0])
    made.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([-0.1, 0.1, 0.0]))


def test_ftrl_descends_by_the_new_rate_when_it_rises():
    """Without penalties FTRL is Adagrad, whose steps do not depend on earlier rates."""
    weight = nn.Parameter(torch.zeros(3))
    made = optimizers.Ftrl(0.01).make([weight])
    total, where = torch.full((3,), 0.1), torch.zeros(3)
    rng = torch.Generator().manual_seed(0)
    for rate in (0.01, 0.0001, 0.5, 0.0, 0.1):
        made.param_groups[0]["lr"] = rate
        slope = torch.randn(3, generator=rng)
        weight.grad = slope.clone()
        made.step()
        if rate:
            total += slope**2
            where -= rate * slope / total.sqrt()
        torch.testing.assert_close(weight.detach(), where, atol=1e-5, rtol=1e-5)


def test_ftrl_makes_weights_of_no_use_exactly_0():
    """Those, and only those, whose gradients sum up to no more than the strength of L1."""
    rng = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.zeros(40))
    made = optimizers.Ftrl(0.5, l1_regularization_strength=3.0).make([weight])
    total = torch.zeros(40)
    for _ in range(10):
        weight.grad = torch.randn(40, generator=rng)
        weight.grad[:5] += 2.0
        made.step()
        total += weight.grad
    linear = made.state[weight]["linear"]
    assert torch.equal(weight.detach() == 0, linear.abs() <= 3.0)
    assert (weight.detach() == 0).sum() >= 10
    assert bool((weight.detach()[:5] < -0.1).all())
    assert bool((weight.detach()[total.abs() > 12] != 0).all())


def test_a_closure_is_called_for_the_gradient():
    weight = nn.Parameter(torch.ones(2))
    made = optimizers.Lion(0.5).make([weight])

    def closure():
        made.zero_grad()
        loss = (weight**2).sum()
        loss.backward()
        return loss

    assert made.step(closure).item() == 2.0
    assert weight.tolist() == [0.5, 0.5]
