"""Stages follow from decisions in their order: at most one version in production."""

import pytest

from ainerd_bluesky.errors import ModelError
from tiled_adapters.stages import Decision, ModelState, ModelVersion


def version(name, minute):
    metadata = {
        "registered": {"who": "me", "when": f"2026-01-01T00:{minute:02d}", "why": "so"},
        "card": {"sha256": name * 8},
        "n_bytes": 8,
    }
    return ModelVersion.from_metadata("m", name, metadata)


CANDIDATES = [version("1.2", 3), version("1.0", 1), version("1.1", 2)]


def state(*decisions):
    """Apply decisions such as ``promote 1.0``; all were made in one moment."""
    parted = [text.split() for text in decisions]
    made = [Decision(item, action, "ann", "now", "so") for action, item in parted]
    return ModelState("m", CANDIDATES, made)


def stages(found):
    return {item.version: item.stage for item in found.versions}


def rolled_back(found, decisions):
    """Roll back as often as there is something to go back to."""
    back = []
    while found.before is not None and len(back) < 10:
        back.append(found.before.version)
        decisions = [*decisions, f"rollback {back[-1]}"]
        found = state(*decisions)
    return back


def test_versions_are_candidates_in_the_order_of_registration():
    found = state()
    assert list(stages(found)) == ["1.0", "1.1", "1.2"]
    assert set(stages(found).values()) == {"candidate"}
    assert (found.production, found.before) == (None, None)


def test_a_promotion_retires_the_former_and_says_so():
    found = state("promote 1.0", "promote 1.1")
    assert stages(found) == {"1.0": "retired", "1.1": "production", "1.2": "candidate"}
    last = found.version("1.0").history[-1]
    assert (last.stage, last.why) == ("retired", "replaced by 1.1: so")


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [
        (["1.0", "1.1", "1.2"], ["1.1", "1.0"]),
        (["1.0", "1.1", "1.0", "1.2"], ["1.0", "1.1", "1.0"]),
        (["1.0", "1.1", "1.0", "1.1", "1.0", "1.2"], ["1.0", "1.1"] * 2 + ["1.0"]),
        (["1.0", "1.0"], []),
    ],
    ids=["once", "twice", "five-rollbacks", "again"],
)
def test_each_rollback_takes_one_promotion_back(decisions, expected):
    promotions = [f"promote {item}" for item in decisions]
    assert rolled_back(state(*promotions), promotions) == expected


def test_a_rollback_skips_what_somebody_retired():
    decisions = ["promote 1.0", "promote 1.1", "promote 1.2", "retire 1.1"]
    assert rolled_back(state(*decisions), decisions) == ["1.0"]


def test_a_promotion_makes_a_retired_version_useful_again():
    found = state("promote 1.0", "retire 1.1", "promote 1.1", "promote 1.2")
    assert found.before.version == "1.1"


def test_a_second_rollback_to_the_same_version_takes_nothing_back():
    decisions = ["promote 1.0", "promote 1.1", "promote 1.2", "rollback 1.1"]
    once, twice = state(*decisions), state(*decisions, "rollback 1.1")
    assert once.production.version == twice.production.version == "1.1"
    assert once.before.version == twice.before.version == "1.0"


def test_a_version_promoted_meanwhile_is_not_retired():
    found = state("promote 1.0", "retire 1.0")
    assert found.production.version == "1.0"


def test_a_retired_version_keeps_every_reason():
    history = state("retire 1.1", "retire 1.1").version("1.1").history
    assert [change.stage for change in history] == ["candidate", "retired", "retired"]


def test_a_decision_about_a_version_that_is_gone_counts_for_nothing():
    assert state("promote 1.0", "promote 9.9").production.version == "1.0"


def test_a_version_that_is_not_there_is_refused_with_those_that_are():
    text = r"m has no version '2', only 1\.0 \(candidate\), 1\.1"
    with pytest.raises(ModelError, match=text):
        state().version("2")
    assert ModelState("m", []).describe() == "no version at all"


DECISION = {"version": "1", "action": "retire", "who": "a", "when": "b", "why": "c"}


@pytest.mark.parametrize(
    "values",
    [None, {**DECISION, "odd": "x"}, {**DECISION, "why": 1}, {"action": "praise"}],
    ids=["none", "extra", "number", "action"],
)
def test_an_odd_decision_is_refused(values):
    with pytest.raises(ModelError, match="got"):
        Decision.from_json(values)


@pytest.mark.parametrize("lost", ["registered", "card", "n_bytes"])
def test_an_odd_version_is_named(lost):
    registered = {"who": "me", "when": "now", "why": "so"}
    metadata = {"registered": registered, "card": {"sha256": "0"}, "n_bytes": 1}
    del metadata[lost]
    with pytest.raises(ModelError, match="m 1 is no version of a model"):
        ModelVersion.from_metadata("m", "1", metadata)
