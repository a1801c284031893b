"""Estimators as scikit-learn's own: its checks, its pipelines, its searches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch import nn

pytest.importorskip("sklearn", reason="the extra 'tabular' is not installed")

from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from lepton_ai.errors import ConfigError, DataError
from lepton_ai.models.estimators import LeptonClassifier, LeptonRegressor, repeated

EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": (
        "steps are taken on batches of rows: a row repeated stands in other batches than one of "
        "double weight, and there are more steps"
    )
}


@parametrize_with_checks(
    [LeptonClassifier(), LeptonRegressor()], expected_failed_checks=lambda _: EXPECTED
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_takes_it_for_its_own(estimator: Any, check: Any) -> None:
    check(estimator)


def people(count: int = 160) -> tuple[Any, np.ndarray]:
    """A frame of numbers and categories, and what follows from both."""
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    job = rng.choice(["cook", "smith", "clerk"], count)
    age = rng.normal(40, 10, count)
    frame = pandas.DataFrame({
        "age": age, "job": job, "town": pandas.Categorical(rng.choice(["a", "b"], count)),
        "member": rng.random(count) > 0.5, "debt.total": rng.normal(size=count),
    })  # fmt: skip
    return frame, np.where((job == "cook") ^ (age > 40), "yes", "no")


def test_a_frame_of_numbers_and_categories() -> None:
    frame, bought = people()
    frame.loc[3, "age"] = None
    frame.loc[5, "job"] = None
    model = LeptonClassifier(random_state=0, epochs=60).fit(frame, bought)
    assert list(model.feature_names_in_) == list(frame.columns)
    assert model.n_features_in_ == 5
    assert list(model.classes_) == ["no", "yes"]
    assert model.score(frame, bought) > 0.9  # a linear model cannot tell
    unseen = frame.head(2).copy()
    unseen["job"] = "baker"
    assert set(model.predict(unseen)) <= {"no", "yes"}
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"age": "years"}))
    with pytest.raises(DataError, match="'age' to hold numbers"):
        model.predict(frame.assign(age="old"))


def test_polars_frames() -> None:
    polars = pytest.importorskip("polars")
    frame, bought = people()
    given = polars.from_pandas(frame)
    model = LeptonClassifier(random_state=0, epochs=3).fit(given, bought)
    other = LeptonClassifier(random_state=0, epochs=3).fit(frame, bought)
    assert np.array_equal(model.predict_proba(given), other.predict_proba(frame))


def test_the_same_seed_gives_the_same_model() -> None:
    rows, kinds = load_breast_cancer(return_X_y=True)
    rows, kinds = rows[:100], kinds[:100]
    made = [
        LeptonClassifier(random_state=seed, epochs=2).fit(rows, kinds).predict_proba(rows)
        for seed in (3, 3, 4)
    ]
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_an_answer_does_not_depend_on_its_company() -> None:
    rows, targets = load_diabetes(return_X_y=True)
    model = LeptonRegressor(random_state=0, epochs=2).fit(rows[:90], targets[:90])
    whole = model.predict(rows[:300])
    assert np.array_equal(whole[7:8], model.predict(rows[7:8]))
    assert np.array_equal(whole[100:], model.predict(rows[100:300]))


def test_large_numbers_keep_their_digits() -> None:
    rows = np.random.default_rng(0).normal(size=(80, 2))
    targets = 1.7e9 + rows @ [2.0, -3.0]
    assert LeptonRegressor(random_state=0, epochs=20).fit(rows, targets).score(rows, targets) > 0.99


def test_pipeline_search_and_cross_validation() -> None:
    rows, kinds = load_breast_cancer(return_X_y=True)
    rows, kinds = rows[:120], kinds[:120]
    estimator = LeptonClassifier(epochs=2, random_state=0)
    assert is_classifier(estimator)
    assert is_regressor(LeptonRegressor())
    search = GridSearchCV(
        make_pipeline(StandardScaler(), estimator),
        {"leptonclassifier__epochs": [1, 2], "leptonclassifier__learning_rate": [1e-3]}, cv=2,
    ).fit(rows, kinds)  # fmt: skip
    assert search.best_score_ > 0.9
    scores = cross_val_score(LeptonRegressor(random_state=0, epochs=2), rows, kinds * 2.0, cv=2)
    assert scores.min() > 0


def test_as_good_as_a_line_where_a_line_is_the_truth() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 4))
    targets = rows @ [1.0, -2.0, 0.5, 3.0] + rng.normal(size=200) * 0.1
    ours = LeptonRegressor(random_state=0).fit(rows[:150], targets[:150])
    line = LinearRegression().fit(rows[:150], targets[:150])
    assert ours.score(rows[150:], targets[150:]) > line.score(rows[150:], targets[150:]) - 0.02


@pytest.mark.parametrize("start", [nn.Sequential(nn.Linear(5, 8), nn.ReLU()), None])
def test_a_network_of_ones_own(start: nn.Module | None) -> None:
    frame, bought = people()
    frame = frame[["age", "job", "member"]]  # one number, three jobs, one number

    def made(inputs: int) -> nn.Module:
        assert inputs == 5
        return nn.Sequential(nn.Linear(inputs, 8), nn.ReLU())

    network = made if start is None else start
    before = None if start is None else start[0].weight.clone()
    model = LeptonClassifier(network, epochs=60, learning_rate=0.02, random_state=0)
    fitted = model.fit(frame, bought)
    assert fitted.score(frame, bought) > 0.9
    assert model.get_params()["network"] is network
    if start is not None:
        assert (start[0].weight == before).all()  # what was given stays as it was
    again = clone(model).fit(frame, bought)
    assert np.array_equal(again.predict_proba(frame), fitted.predict_proba(frame))


def test_weights_count() -> None:
    rows = np.zeros((200, 1))
    kinds = np.array(["a"] * 100 + ["b"] * 100)
    weights = np.where(kinds == "a", 3.0, 1.0)
    share = LeptonClassifier(random_state=0, epochs=20).fit(rows, kinds, weights)
    assert share.predict_proba(rows[:1])[0, 0] == pytest.approx(0.75, abs=0.03)
    numbers = np.where(kinds == "a", 0.0, 1.0)
    mean = LeptonRegressor(random_state=0, epochs=20).fit(rows, numbers, weights)
    assert mean.predict(rows[:1])[0] == pytest.approx(0.25, abs=0.03)


def test_rows_without_weight_are_as_if_they_were_not_there() -> None:
    rows, targets = load_diabetes(return_X_y=True)
    rows, targets = rows[:60], targets[:60]
    weights = np.r_[np.ones(40), np.zeros(20)]
    a = LeptonRegressor(random_state=0, epochs=2).fit(rows, targets, weights)
    b = LeptonRegressor(random_state=0, epochs=2).fit(rows[:40], targets[:40], np.ones(40))
    assert np.array_equal(a.predict(rows), b.predict(rows))


@pytest.mark.parametrize("weights", [[0.5, 1.5, 2.0], [1e-9, 1.0, 3.0]])
def test_repeated_rows_stand_in_their_shares(weights: list[float]) -> None:
    chosen = repeated(np.array(weights), limit=1000)
    shares = np.bincount(chosen, minlength=3) / len(chosen)
    assert shares == pytest.approx(np.array(weights) / np.sum(weights), abs=1e-2)
    assert len(chosen) <= 1001


def test_messages() -> None:
    rows = np.random.default_rng(0).normal(size=(20, 2))
    with pytest.raises(DataError, match="one class only, 'a'"):
        LeptonClassifier().fit(rows, ["a"] * 20)
    with pytest.raises(ConfigError, match="Did you mean 'mlp'"):
        LeptonClassifier("mpl").fit(rows, ["a", "b"] * 10)
    with pytest.raises(ConfigError, match=r"features \[2, width\]"):
        LeptonClassifier(nn.Flatten(0)).fit(rows, ["a", "b"] * 10)
    with pytest.raises(ConfigError, match="epochs"):
        LeptonClassifier(epochs=0).fit(rows, ["a", "b"] * 10)
    with pytest.raises(DataError, match="sample_weight"):
        LeptonClassifier().fit(rows, ["a", "b"] * 10, -np.ones(20))
