"""Schedule-free training: three points, of which the model holds one at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lepton_ai import optimizers
from lepton_ai.errors import ConfigError, NotReadyError

RATE, BETA_1, BETA_2, EPSILON, DECAY = 0.1, 0.7, 0.9, 1e-3, 0.2


def recipe(**arguments):
    usual = {"beta_1": BETA_1, "beta_2": BETA_2, "epsilon": EPSILON, "weight_decay": DECAY}
    return optimizers.ScheduleFreeAdamW(RATE, **{**usual, **arguments})


def start():
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


def slope(number):
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(100 + number))


def move(made, weight, numbers):
    for number in numbers:
        weight.grad = slope(number)
        made.step()


@pytest.mark.parametrize("warmup", [0, 4])
def test_the_three_points_are_the_paper_s(warmup):
    """Defazio et al. 2024, algorithm 1, in numpy and float64; gradients do not look at weights."""
    weight = nn.Parameter(start())
    made = recipe(warmup_steps=warmup).make([weight])
    z = x = y = start().double().numpy()
    v, total = 0.0, 0.0
    for t in range(1, 11):
        move(made, weight, [t])
        g = slope(t).double().numpy()
        v = BETA_2 * v + (1 - BETA_2) * g**2
        rate = RATE * min(1.0, t / warmup) if warmup else RATE
        z = z - rate * g / (np.sqrt(v / (1 - BETA_2**t)) + EPSILON) - rate * DECAY * y
        total += rate**2
        x = (1 - rate**2 / total) * x + rate**2 / total * z
        y = (1 - BETA_1) * z + BETA_1 * x
        np.testing.assert_allclose(weight.detach().numpy(), y, rtol=1e-5, atol=1e-5)
        made.eval()
        np.testing.assert_allclose(weight.detach().numpy(), x, rtol=1e-5, atol=1e-5)
        made.train()


def test_looking_at_the_mean_does_not_change_the_training():
    plain, looked = nn.Parameter(start()), nn.Parameter(start())
    one, other = recipe().make([plain]), recipe().make([looked])
    move(one, plain, range(6))
    for number in range(6):
        other.eval()
        other.eval()
        other.train()
        other.train()
        move(other, looked, [number])
    assert torch.equal(plain, looked)


@pytest.mark.parametrize("averaged", [False, True])
def test_a_state_kept_in_either_mode_goes_on_with_the_same_bits(averaged):
    weight = nn.Parameter(start())
    made = recipe(warmup_steps=5).make([weight])
    move(made, weight, range(3))
    if averaged:
        made.eval()
    kept = weight.detach().clone()
    state = {
        "state": {0: {n: v.clone() if isinstance(v, torch.Tensor) else v
                      for n, v in made.state_dict()["state"][0].items()}},
        "param_groups": made.state_dict()["param_groups"],
    }  # fmt: skip
    resumed = nn.Parameter(kept)
    fresh = recipe(warmup_steps=5).make([resumed])
    fresh.load_state_dict(state)
    for each, parameter in ((made, weight), (fresh, resumed)):
        each.train()
        move(each, parameter, range(3, 6))
    assert torch.equal(weight, resumed)
    made.eval()
    fresh.eval()
    assert torch.equal(weight, resumed)


def test_steps_from_the_mean_are_refused():
    weight = nn.Parameter(start())
    made = recipe().make([weight])
    move(made, weight, [0])
    made.eval()
    before, steps = weight.detach().clone(), made.state[weight]["step"]
    weight.grad = slope(1)
    with pytest.raises(NotReadyError, match="optimizer.train()"):
        made.step()
    assert torch.equal(weight.detach(), before)
    assert made.state[weight]["step"] == steps


def test_before_the_first_step_all_points_are_one():
    weight = nn.Parameter(start())
    made = recipe().make([weight])
    made.eval()
    assert torch.equal(weight.detach(), start())
    made.train()
    move(made, weight, [0])


@pytest.mark.parametrize(("arguments", "says"), [
    ({"beta_1": 0.0}, "beta_1 above 0 and below 1"),
    ({"warmup_steps": -1}, "warmup_steps as a whole number of at least 0"),
    ({"warmup_steps": 1.5}, "received 1.5"),
])  # fmt: skip
def test_what_cannot_be_is_refused(arguments, says):
    with pytest.raises(ConfigError) as caught:
        recipe(**arguments)
    assert says in str(caught.value)
