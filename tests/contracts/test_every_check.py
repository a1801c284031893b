"""Every registered check finds the defect that it plants, and nothing in sound data."""

from __future__ import annotations

import numpy as np
import pytest

import lepton_ai as lai
from lepton_ai import registry
from lepton_ai.quality import Policy, Subject
from lepton_ai.quality.target import find_target

CHECKS = registry.names("checks")


def planted(name):
    return registry.lookup("checks", name).planted(np.random.default_rng(0))


def found(name, given):
    report = lai.check(given.data, target=given.target, against=given.against)
    return [finding for finding in report.findings if finding.check == name]


def sound():
    rng = np.random.default_rng(1)
    pictures = rng.integers(0, 255, (60, 12, 12, 3), dtype=np.uint8)
    numbers = {"size": rng.normal(size=60), "age": rng.uniform(0, 90, size=60)}
    labels = rng.permutation(["no", "yes"] * 30)
    yield lai.Dataset({"image": pictures, "label": labels})
    yield lai.Dataset({**numbers, "label": labels})
    words = np.array(["a", "the", "red", "blue", "old", "new", "house", "tree", "runs"])
    texts = [" ".join(rng.choice(words, 9)) + f" {n}" for n in range(60)]
    yield lai.Dataset({"text": texts, "label": labels})


@pytest.mark.parametrize("name", CHECKS)
def test_finds_what_is_planted(name):
    given = planted(name)
    findings = found(name, given)
    assert findings, f"{name} does not find the defect that it plants"
    rows = sorted({int(row) for finding in findings for row in finding.rows})
    assert rows == given.rows


@pytest.mark.parametrize("name", CHECKS)
def test_says_it_in_a_sentence(name):
    for finding in found(name, planted(name)):
        assert finding.severity in ("blocks", "warns", "notes")
        assert finding.message.endswith((".", ")"))
        assert len(finding.message) > 20
        assert finding.column is None or finding.column in planted(name).data.columns
        assert finding.fix is None or finding.fix in registry.names("fixes")


@pytest.mark.parametrize("name", CHECKS)
def test_finds_nothing_in_sound_data(name):
    check = registry.lookup("checks", name)()
    for data in sound():
        subject = Subject(data, find_target(data, None), None, Policy())
        assert [finding.message for finding in check.find(subject)] == []


@pytest.mark.parametrize("name", CHECKS)
def test_can_be_switched_off_and_made_to_block(name):
    given = planted(name)
    for severity in ("off", "blocks", "notes"):
        report = lai.check(
            given.data, target=given.target, against=given.against,
            policy={"severities": {name: severity}},
        )  # fmt: skip
        own = {finding.severity for finding in report.findings if finding.check == name}
        assert own == (set() if severity == "off" else {severity})
