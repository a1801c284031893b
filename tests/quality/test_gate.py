"""The gate as a whole: check, clean, check again."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lepton_ai as lai
from lepton_ai.errors import ConfigError, DataError, EmptyDataError, GateError, UnknownNameError
from lepton_ai.quality import describe_changes


def pictures_with_defects():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (60, 10, 10), dtype=np.uint8)
    labels = np.array(["cat", "dog", "owl"] * 20)
    pictures[40] = pictures[1]  # row 1 is a dog, row 40 is a dog: a repeat
    pictures[50] = pictures[3]  # row 3 is a cat, row 50 an owl: they conflict
    pictures[7] = 0
    return lai.Dataset({"image": pictures, "label": labels}, name="animals")


def test_the_gate_closes_its_loop():
    data = pictures_with_defects()
    report = lai.check(data)
    assert not report.passed
    found = {finding.check: finding.rows.tolist() for finding in report.findings}
    assert found == {"conflicting_labels": [3, 50], "duplicates": [40], "blank_pictures": [7]}
    with pytest.raises(GateError, match="conflicting_labels"):
        report.require()
    cleaned = lai.clean(data, report)
    assert len(cleaned) == 56
    assert lai.check(cleaned).findings == []
    assert len(data) == 60
    assert sum(change["count"] for change in cleaned.lineage["cleaned"]["changes"]) == 4
    assert "60 examples before, 56 after" in describe_changes(cleaned)


def test_the_report_can_be_read_by_people_and_machines():
    report = lai.check(pictures_with_defects())
    text = report.to_text()
    assert text.startswith("Quality gate failed: 60 examples of 'animals'")
    assert "2 of 60 (3.3 %)" in text
    assert json.loads(json.dumps(report.to_json()))["passed"] is False
    html = report._repr_html_()
    assert "<table>" in html
    assert "conflicting_labels" in html


def test_names_of_columns_are_escaped_in_html():
    data = lai.Dataset({"<b>x": [1.0, float("inf")] * 10, "y": [1.0, 2.0] * 10})
    assert "<b>x" not in lai.check(data, target="y")._repr_html_()


def test_sound_data_is_returned_as_it_is():
    rng = np.random.default_rng(0)
    data = lai.Dataset({"image": rng.integers(0, 255, (20, 8, 8), dtype=np.uint8),
                        "label": ["no", "yes"] * 10})  # fmt: skip
    assert lai.clean(data) is data
    assert describe_changes(data) == ""


def test_a_class_is_left_out_only_when_asked():
    labels = ["no", "yes"] * 10
    labels[4] = "perhaps"
    data = lai.Dataset({"x": np.random.default_rng(0).normal(size=(20, 3)), "label": labels})
    report = lai.check(data)
    assert not report.passed
    assert not lai.check(lai.clean(data, report)).passed
    assert lai.check(lai.clean(data, report, fixes=["drop_classes"])).passed


def test_repeats_in_a_table_are_only_noted():
    data = lai.Dataset({"a": [1.0, 2.0] * 20, "b": [3.0, 4.0] * 20, "label": ["no", "yes"] * 20})
    findings = {f.check: f.severity for f in lai.check(data).findings}
    assert findings["duplicates"] == "notes"


def test_many_repeats_of_texts_block():
    data = lai.Dataset({"text": [f"text {n % 10}" for n in range(40)],
                        "label": ["no", "yes"] * 20},
                       {"text": lai.data.fields.Text()})  # fmt: skip
    report = lai.check(data)
    assert [f.check for f in report.of("blocks")] == ["duplicates"]
    assert len(lai.clean(data, report)) == 10


def test_missing_values_of_columns_and_of_targets():
    columns = {"a": [1.0, None, 2.5] * 10, "b": [None] * 30, "target": [1.0, 2.5, 4.0] * 10}
    data = lai.Dataset(columns, {"b": lai.data.fields.Label()})
    messages = {f.column: f for f in lai.check(data).findings if f.check == "missing_values"}
    assert messages["a"].severity == "warns"
    assert "10 of 30 (33.3 %)" in messages["a"].message
    assert messages["b"].fix == "drop_columns"


def test_cleaning_that_would_leave_nothing_is_refused():
    data = lai.Dataset({"image": np.zeros((6, 8, 8), np.uint8), "label": ["no", "yes"] * 3})
    report = lai.check(data)
    for finding in report.findings:
        object.__setattr__(finding, "rows", np.arange(6))
        object.__setattr__(finding, "fix", "drop_rows")
    with pytest.raises(EmptyDataError, match="all 6 would go"):
        lai.clean(data, report, notes=True)


def test_a_report_belongs_to_its_data():
    data = pictures_with_defects()
    with pytest.raises(ConfigError, match="report of this data"):
        lai.clean(data.take(range(10)), lai.check(data))


@pytest.mark.parametrize(
    ("policy", "error", "says"),
    [
        ({"imbalance_ration": 3}, UnknownNameError, "Did you mean 'imbalance_ratio'"),
        ({"severities": {"duplicate": "blocks"}}, UnknownNameError, "Did you mean 'duplicates'"),
        ({"severities": {"duplicates": "block"}}, ConfigError, "Did you mean 'blocks'"),
        ({"missing_share": -1}, ConfigError, "at least 0"),
        ("strict", ConfigError, "a Policy or a dict"),
    ],
)
def test_a_policy_that_cannot_be(policy, error, says):
    with pytest.raises(error, match=says):
        lai.check(pictures_with_defects(), policy=policy)


def test_a_target_that_is_not_there():
    with pytest.raises(DataError, match="Did you mean 'label'"):
        lai.check(pictures_with_defects(), target="labels")


def test_ten_thousand_pictures_are_measured_together():
    """No picture of an array is opened on its own: the work is a handful of array operations."""
    pictures = np.random.default_rng(0).integers(0, 255, (10_000, 28, 28), dtype=np.uint8)
    report = lai.check({"image": pictures, "label": np.arange(10_000) % 10})
    assert report.passed
    assert report.examples == 10_000
