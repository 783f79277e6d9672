"""A decision that was kept is taken again from the state that was saved."""

import json
from dataclasses import replace

import pytest

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection import (
    Axis,
    Candidate,
    Coverage,
    Observation,
    StrategySelector,
)
from tiled_adapters.decisions import CampaignDecision
from tiled_adapters.decisions_replay import require_same_choice


@pytest.fixture
def campaign(tmp_path):
    """A selector after three decisions, and these."""
    line = [Candidate(f"{n} °C", (float(n),)) for n in range(8)]
    selector = StrategySelector(line, Coverage())
    decisions = []
    for _ in range(3):
        [suggestion] = selector.suggest()
        name = suggestion.candidate.name
        selector.ingest([Observation(name, "aging", 0.9, 0.1, {"aging": 0.9})])
        decisions.append(suggestion.decision)
    return selector.state(), decisions


@pytest.fixture
def save(tmp_path):
    def write(document):
        path = tmp_path / "state.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    return write


@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"selector": s, "kind": "x"}])
def test_each_decision_of_a_saved_state_is_taken_again(campaign, save, number, wrap):
    state, decisions = campaign
    require_same_choice(decisions[number].of_run("u"), save(wrap(state)))


def test_a_decision_of_another_selector_is_not_found(campaign, save):
    state, decisions = campaign
    other = replace(decisions[1], state_hash="0" * 64)
    with pytest.raises(SelectionError, match="has no decision-000001-000000000000"):
        require_same_choice(other, save(state))


def test_a_decision_that_was_changed_is_told(campaign, save):
    state, decisions = campaign
    other = replace(decisions[1], chosen="99 °C")
    with pytest.raises(SelectionError, match="where '99 °C' was chosen"):
        require_same_choice(other, save(state))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "no state can be read from"),
        ([], "holds no state but a list"),
        ({"selector": 1}, "not the state of a selector"),
    ],
    ids=["no json", "list", "number"],
)
def test_a_file_that_is_no_state_is_named(campaign, save, document, message):
    _, decisions = campaign
    with pytest.raises(SelectionError, match=message):
        require_same_choice(decisions[0], save(document))


def test_a_file_that_is_not_there_is_named(campaign, tmp_path):
    _, decisions = campaign
    with pytest.raises(SelectionError, match=r"missing\.json"):
        require_same_choice(decisions[0], tmp_path / "missing.json")


def test_what_a_person_took_is_a_decision_that_is_kept_and_found(save):
    axes = [Axis("temperature", seconds_per_unit=2.0)]
    line = [Candidate(f"{n} °C", (float(n),)) for n in range(8)]
    selector = StrategySelector(line, Coverage(), axes=axes)
    selector.suggest(2)
    free = selector.left[0].name
    selector.take(free)
    [taken] = selector.taken
    decision = taken.decision.of_run("run-1")
    CampaignDecision("night", decision, 7.0).check()
    require_same_choice(decision, save(selector.state()))
    assert (decision.n_candidates, decision.cost) == (6, taken.cost)
