"""A decision as data and in words."""

import json

import pytest

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection import (
    Axis,
    Candidate,
    Decision,
    Observation,
    StrategySelector,
    phase_boundary,
)

LINE = [Candidate(f"s{n}", (280.0 + n,), exposure=30.0) for n in range(11)]


@pytest.fixture
def selector():
    axis = Axis("temperature", 280.0, 290.0, seconds_per_unit=60.0)
    selector = StrategySelector(LINE, phase_boundary(), axes=[axis])
    labels = {"s0": "aging", "s10": "static"}
    selector.ingest([Observation(n, v, 0.9, 0.1, {v: 0.9}) for n, v in labels.items()])
    return selector


def test_a_decision_comes_back_from_json(selector):
    decision = selector.suggest()[0].decision
    assert Decision.from_json(json.loads(json.dumps(decision.as_json()))) == decision


def test_a_decision_holds_what_led_to_it(selector):
    before = selector.state_hash
    [found] = selector.suggest()
    decision = found.decision
    assert decision.chosen == found.candidate.name == "s5"
    assert decision.coordinates == {"temperature": 285.0}
    assert decision.strategy == found.strategy == "boundary"
    assert (decision.score, decision.cost) == (found.score, 30.0)
    assert (decision.n_candidates, decision.n_observations) == (9, 2)
    assert decision.state_hash == before
    assert decision.values["distance"] == pytest.approx(0.5)


def test_the_best_candidates_are_ranked(selector):
    decision = selector.suggest()[0].decision
    scores = [ranked.score for ranked in decision.top]
    assert decision.top[0].name == decision.chosen
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 5


def test_decisions_are_numbered_and_have_keys_of_their_own(selector):
    decisions = [found.decision for found in selector.suggest(3)]
    assert [decision.number for decision in decisions] == [0, 1, 2]
    assert len({decision.key for decision in decisions}) == 3
    assert decisions[0].key == f"decision-000000-{decisions[0].state_hash[:12]}"


def test_the_run_completes_a_decision(selector):
    decision = selector.suggest()[0].decision
    assert decision.run_uid == ""
    assert decision.of_run("run 1").run_uid == "run 1"
    assert decision.of_run("run 1").key == decision.key


def test_a_reason_is_a_sentence_that_a_scientist_understands(selector):
    [first, second] = selector.suggest(2)
    assert first.reason == (
        "s5: static (0.20) or aging (0.20) by its neighbours, 0.50 of the range away "
        "from all that is measured or awaited, 30 s to get there and measure; nearest "
        "result, s10: static (0.90)."
    )
    assert " s to get there and measure" in second.reason


def test_the_reason_for_the_first_choice_says_that_nothing_is_known():
    selector = StrategySelector(LINE, phase_boundary())
    first, second = (found.reason for found in selector.suggest(2))
    assert ": a start like any other, 30 s to get there and measure; " in first
    assert "of the range away from all that is measured or awaited" in second
    assert second.endswith("; nothing is measured yet.")


def test_the_reason_beside_a_refused_scan_says_so(selector):
    selector.ingest([Observation("s5", "invalid", 1.0, 1.0)])
    reasons = [found.reason for found in selector.suggest(9)]
    assert any("nearest result, s5: refused by the quality gate" in r for r in reasons)
    assert any("its own last result, s5: refused" in r for r in reasons)


@pytest.mark.parametrize("values", [{}, {"top": []}, {"top": [{"rank": 1}]}])
def test_what_is_no_decision_is_named(values):
    with pytest.raises(SelectionError, match="not a decision"):
        Decision.from_json(values)
