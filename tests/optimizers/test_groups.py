"""What ``make`` takes: tensors, named tensors and groups, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import lepton_ai as lai
from lepton_ai import optimizers
from lepton_ai.errors import ConfigError, UnknownNameError
from lepton_ai.optimizers.groups import read_groups, split


def weight(*shape):
    return nn.Parameter(torch.ones(shape))


def test_a_generator_of_named_parameters_is_read_once():
    layer = nn.Linear(3, 2)
    (group,) = read_groups(layer.named_parameters(), 0.1)
    assert group.names == ["weight", "bias"]
    assert [p.shape for p in group.parameters] == [(2, 3), (2,)]
    assert (group.rate, group.weight_decay) == (0.1, None)


def test_one_group_is_left_whole_where_nothing_decays():
    (group,) = read_groups([weight(2, 2), weight(2)], 0.1)
    assert [len(part["params"]) for part in split(group, 0.0)] == [2]
    assert [len(part["params"]) for part in split(group, 0.1)] == [1, 1]


def test_a_group_of_one_tensor_and_a_decay_of_nothing():
    first, second = weight(2, 2), weight(3, 3)
    made = optimizers.AdamW(0.1).make(
        [{"params": first, "weight_decay": 0}, {"params": [("name", second)], "lr": 0.5}]
    )
    assert [(g["lr"], g["weight_decay"]) for g in made.param_groups] == [(0.1, 0), (0.5, 0.004)]


def test_none_leaves_a_group_what_the_optimizer_has():
    made = optimizers.AdamW(0.1).make(
        [{"params": [weight(2, 2)], "lr": None, "weight_decay": None}]
    )
    assert [(g["lr"], g["weight_decay"]) for g in made.param_groups] == [(0.1, 0.004)]


def test_empty_groups_are_left_out():
    made = optimizers.SGD(0.1).make([{"params": []}, {"params": [weight(2)]}])
    assert len(made.param_groups) == 1


SHARED = weight(2, 2)
FLAWS = [
    (nn.Linear(2, 2), ("a list of parameters", "Linear", ".parameters()")),
    (weight(2, 2), ("a list of parameters", "Parameter")),
    ({"params": [weight(2)]}, ("a list of parameters or of groups", "dict")),
    ([1.0], ("parameters as tensors", "float")),
    ([SHARED, SHARED], ("each parameter once",)),
    ([{"params": [SHARED]}, {"params": [SHARED]}], ("each parameter once",)),
    ([{"parameters": [SHARED]}], ("'params'", "'parameters'")),
    ([{"params": [SHARED]}, SHARED], ("groups like", "received")),
    ([{"params": [SHARED], "learning_rate": 0.1}], ("Did you mean 'lr'",)),
    ([{"params": [SHARED], "weight_decy": 0.1}], ("Did you mean 'weight_decay'",)),
    ([{"params": [SHARED], "lr": -0.1}], ("'lr' of a group", "-0.1", "Leave it out")),
    ([{"params": [SHARED], "weight_decay": "no"}], ("'weight_decay' of a group", "'no'")),
]


@pytest.mark.parametrize(("given", "says"), FLAWS)
def test_what_is_no_group_is_refused(given, says):
    with pytest.raises(ConfigError) as caught:
        optimizers.Adam().make(given)
    for words in says:
        assert words in str(caught.value)


def test_optimizers_are_found_by_name_and_description():
    assert isinstance(optimizers.get("schedule_free_adamw"), lai.optimizers.ScheduleFreeAdamW)
    assert isinstance(optimizers.get("ScheduleFreeAdamW"), lai.optimizers.ScheduleFreeAdamW)
    named = optimizers.get("adamw", 0.5, weight_decay=0.1)
    assert (named.learning_rate, named.weight_decay) == (0.5, 0.1)
    described = optimizers.get(named.to_config())
    assert described.config() == named.config()
    assert optimizers.get(named, 0.1) is named
    schedule = lai.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    assert optimizers.get("sgd", schedule).schedule is schedule


@pytest.mark.parametrize(("given", "error", "says"), [
    ("adamm", UnknownNameError, "Did you mean 'adam'"),
    (lai.optimizers.SGD, ConfigError, "lai.optimizers.SGD()"),
    (3, ConfigError, "received int"),
    ({"learning_rate": 0.1}, ConfigError, "{'optimizer': 'adam'"),
    ({"optimizer": "rmsprob"}, UnknownNameError, "Did you mean 'rmsprop'"),
    ({"optimizer": "sgd", "momentun": 0.9}, ConfigError, "Did you mean 'momentum'"),
    ({"optimizer": "sgd", "learning_rate": {"schedule": "CosineDekay"}}, UnknownNameError,
     "Did you mean 'CosineDecay'"),
])  # fmt: skip
def test_what_is_no_optimizer_is_refused(given, error, says):
    with pytest.raises(error) as caught:
        optimizers.get(given)
    assert says in str(caught.value)


def test_the_room_shows_what_it_has():
    assert lai.optimizers.schedules.CosineDecay(0.1, 10)(0) == 0.1
    assert issubclass(lai.optimizers.Lion, lai.optimizers.Optimizer)
    with pytest.raises(AttributeError, match="Did you mean 'Adagrad'"):
        lai.optimizers.Adagrat  # noqa: B018


def test_an_optimizer_of_one_s_own():
    class Halving(optimizers.Optimizer):
        """Takes half of each weight away."""

        def __init__(self, learning_rate=0.5, share=0.5, **common):
            super().__init__(learning_rate, **common)
            self.share = share
            self._expect_share("share")

        def make(self, parameters):
            return torch.optim.SGD(self._groups(parameters))

    assert repr(Halving(clipnorm=2.0)) == "Halving(learning_rate=0.5, share=0.5, clipnorm=2.0)"
    with pytest.raises(ConfigError, match="share from 0 to below 1; received 2"):
        Halving(share=2)
    with pytest.raises(ConfigError, match="Did you mean 'share'"):
        Halving(shar=0.1)
    with pytest.raises(ConfigError, match="learning_rate above 0"):
        Halving(-1)
