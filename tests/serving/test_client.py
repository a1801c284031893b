"""The client: a remote model predicts, explains and is evaluated like the one in memory."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import lepton_ai as lai
from lepton_ai.errors import ConfigError, DataError, LimitError, ServiceError
from lepton_ai.serving.hosted import Hosted, Shelf
from lepton_ai.serving.limits import Limits
from lepton_ai.serving.service import Service
from lepton_ai.training.evaluation import Predictor


@pytest.fixture
def remote(service: Any) -> Any:
    with lai.connect(service.url) as remote:
        yield remote


def same(a: Any, b: Any) -> None:
    assert a["label"].equals(b["label"])
    assert a["label.scores"].dtype == b["label.scores"].dtype
    np.testing.assert_allclose(a["label.scores"], b["label.scores"], atol=1e-5)


def test_it_is_a_predictor_with_the_same_task(remote: Any, model: Any) -> None:
    assert isinstance(remote, Predictor)
    assert remote.task.to_config() == model.task.to_config()
    assert "shapes" in repr(remote)


@pytest.mark.parametrize("batch_size", [None, 7])
def test_predictions_are_those_of_the_model(
    remote: Any, model: Any, pictures: Any, batch_size: int | None
) -> None:
    expected = model.predict({"image": pictures})
    same(remote.predict({"image": pictures}, batch_size=batch_size), expected)
    same(remote.predict(lai.Dataset({"image": pictures}), batch_size=batch_size), expected)
    same(remote.predict([{"image": p} for p in pictures]), expected)


def test_pictures_with_fractions(remote: Any, model: Any, pictures: Any) -> None:
    floats = {"image": pictures[:5].astype(np.float32)}
    same(remote.predict(floats), model.predict(floats))


def test_files_and_one_example(
    remote: Any, model: Any, files: Any, pictures: Any, tmp_path: Any
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(files[1])
    for given in (str(path), pictures[1], {"image": pictures[1]}):
        one, expected = remote.predict(given), model.predict(given)
        assert one["label"] == expected["label"]
        np.testing.assert_allclose(one["label.scores"], expected["label.scores"], atol=1e-5)
    same(remote.predict(files), model.predict(pictures[:6]))


def test_evaluate_does_not_tell_them_apart(remote: Any, model: Any, data: Any) -> None:
    here, there = lai.evaluate(model, data), lai.evaluate(remote, data)
    assert there == pytest.approx({name: here[name] for name in there}, abs=1e-6)
    assert {"accuracy", "f1"} <= set(there)


def test_explain(remote: Any, model: Any, pictures: Any) -> None:
    found, expected = remote.explain(pictures[2]), lai.explain(model, pictures[2])
    weights = [part["weight"] for part in found.parts]
    np.testing.assert_allclose(weights, [a.weight for a in expected.attributions], atol=1e-5)
    assert found.to_html().startswith("<div")
    assert found.to_json()["prediction"]["label"] == expected.prediction["label"]


def test_what_the_fields_refuse_is_refused_alike(remote: Any, model: Any) -> None:
    for wrong in ({"picture": np.zeros((2, 16, 16, 3))}, {"image": np.zeros((2, 16, 16, 7))}):
        with pytest.raises(DataError) as here:
            model.predict(wrong)
        with pytest.raises(DataError) as there:
            remote.predict(wrong)
        assert str(here.value) == str(there.value)
    with pytest.raises(DataError, match="picture file"):
        remote.predict([b"no picture"])
    with pytest.raises(DataError, match="confidence"):
        remote.predict({"image": np.zeros((2, 16, 16, 3), "uint8")}, confidence=1)


def test_a_batch_over_the_limits_goes_in_several_requests(model: Any, pictures: Any) -> None:
    hosted = Hosted("shapes", model)
    shelf = Shelf([hosted], Limits(body=10_000, examples=20))
    service = Service(shelf, host="127.0.0.1", port=0).start()
    with service, lai.connect(service.url) as remote:
        same(remote.predict({"image": pictures}), model.predict({"image": pictures}))
        assert hosted.served == len(pictures)
        large = np.zeros((99, 99, 3), "uint8")
        with pytest.raises(LimitError, match="10,000"):
            remote.predict(large)


def test_several_threads_at_once(service: Any, model: Any, pictures: Any) -> None:
    expected = model.predict({"image": pictures})
    found: list[Any] = []

    def work() -> None:
        with lai.connect(service.url) as remote:
            found.extend(remote.predict({"image": pictures}, batch_size=5) for _ in range(3))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 18
    for columns in found:
        same(columns, expected)


def test_which_model(model: Any, pictures: Any) -> None:
    with lai.serve({"one": model, "two": model}, port=0) as service:
        with pytest.raises(ConfigError, match="one, two"):
            lai.connect(service.url)
        with pytest.raises(ConfigError, match="Did you mean 'two'"):
            lai.connect(service.url, "twoo")
        with lai.connect(service.url.removeprefix("http://"), model="two") as remote:
            same(remote.predict({"image": pictures}), model.predict({"image": pictures}))


def test_nothing_answers(model: Any) -> None:
    with lai.serve(model, port=0) as service:
        url = service.url
        remote = lai.connect(url)
    with pytest.raises(ServiceError, match=f"{url}.*lepton serve"):
        lai.connect(url)
    with pytest.raises(ServiceError, match="lepton serve"):
        remote.predict(np.zeros((1, 16, 16, 3), "uint8"))
    remote.close()
    with pytest.raises(ServiceError, match="address"):
        lai.connect("ftp://localhost")


def test_a_client_of_plain_arrays_gets_plain_arrays() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 4)).astype("float32"), rng.normal(size=(32, 1)).astype("float32")
    model = lai.models.Sequential([lai.layers.Dense(1)])
    model.compile(optimizer="adam", loss="mean_squared_error", metrics=["mean_absolute_error"])
    model.fit(x, y, epochs=1, verbose=0)
    with lai.serve(model, port=0) as service, lai.connect(service.url) as remote:
        expected = model.predict(x)
        found = remote.predict(x)
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, expected, atol=1e-5)
