"""Every proposed fix takes its finding away, leaves the given data alone, and says what it did."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lepton_ai as lai
from lepton_ai import registry
from lepton_ai.quality import describe_changes


def proposals():
    for name in registry.names("checks"):
        given = registry.lookup("checks", name).planted(np.random.default_rng(0))
        report = lai.check(given.data, target=given.target, against=given.against)
        for finding in report.findings:
            if finding.check == name and finding.fix is not None:
                yield pytest.param(name, finding.fix, id=f"{name}-{finding.fix}")


@pytest.mark.parametrize(("name", "fix"), list(proposals()))
def test_takes_the_finding_away(name, fix):
    given = registry.lookup("checks", name).planted(np.random.default_rng(0))
    before = given.data.digest()
    report = lai.check(given.data, target=given.target, against=given.against)
    cleaned = lai.clean(given.data, report, fixes=[fix])
    again = lai.check(cleaned, target=given.target, against=given.against)
    assert name not in [f.check for f in again.findings if f.fix == fix]
    assert given.data.digest() == before
    record = cleaned.lineage["cleaned"]
    assert record["from"] == before
    assert record["rows_before"] - record["rows_after"] == len(given.data) - len(cleaned)
    assert json.loads(json.dumps(record)) == record
    assert fix in describe_changes(cleaned)


@pytest.mark.parametrize("fix", registry.names("fixes"))
def test_some_check_proposes_it(fix):
    proposed = {case.values[1] for case in proposals()} | {"clear_values"}
    assert fix in proposed


def test_infinite_numbers_become_missing():
    data = lai.Dataset({"a": np.array([1.0, np.inf] + [2.0, 3.0] * 10),
                        "b": np.arange(22) % 7 * 1.5, "label": ["no", "yes"] * 11})  # fmt: skip
    report = lai.check(data)
    assert [f.fix for f in report.of("blocks")] == ["clear_values"]
    cleaned = lai.clean(data, report)
    assert len(cleaned) == 22
    assert np.isnan(np.asarray(cleaned["a"], dtype=float)[1])
    assert lai.check(cleaned).passed
