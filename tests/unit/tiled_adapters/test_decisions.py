"""What a start document says of a decision, and what the catalog may keep of it."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tiled.validation_registration import ValidationError

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection.decisions import Decision, Ranked
from tiled_adapters import decisions_client
from tiled_adapters.decisions import (
    CampaignDecision,
    DecisionsPublisher,
    decision_from_start,
)
from tiled_adapters.specs import DECISION, validate_choice

DECIDED = Decision(
    number=12,
    chosen="gel 40 °C",
    coordinates={"temperature": 40.0},
    strategy="novelty",
    score=0.8,
    cost=12.0,
    reason="gel 40 °C: unlike everything measured.",
    values={"novelty": 0.8},
    top=(Ranked("gel 40 °C", 0.8, 12.0), Ranked("gel 20 °C", 0.3, 2.0)),
    n_candidates=2,
    n_observations=5,
    state_hash="ab" * 32,
)
RUN = DECIDED.of_run("run-1")
START = {"uid": "run-1", "time": 7.0, "campaign": "night", "decision": None}


def start(**changes):
    """A start document as it comes back from a catalog."""
    decision = {**DECIDED.as_json(), **changes}
    return json.loads(json.dumps({**START, "decision": decision}))


def test_a_start_document_gives_back_the_decision_with_its_run():
    made = decision_from_start(start())
    assert made.decision == RUN
    assert (made.campaign, made.time) == ("night", 7.0)
    assert made.path == "night/decision-000012-abababababab"


@pytest.mark.parametrize(
    ("agent", "sample", "other"),
    [
        ({"sample": "gel"}, "gel", ""),
        ({"sample": "gel"}, "water", "water"),
        ({"id": "before"}, "water", ""),
        ("somebody", "water", ""),
        (None, "water", ""),
        ({"sample": "gel"}, None, ""),
    ],
)
def test_a_sample_that_a_person_put_in_its_place_is_known(agent, sample, other):
    made = decision_from_start({**start(), "agent": agent, "sample": sample})
    assert made.other_sample == other


def test_a_decision_whose_run_measured_something_else_is_not_kept():
    edited = {"agent": {"sample": "gel"}, "sample": "water"}
    made = decision_from_start({**start(), **edited})
    with pytest.raises(SelectionError, match="'gel 40 °C', and a person had 'water'"):
        DecisionsPublisher(None).publish(made)


@pytest.mark.parametrize("start", [{"uid": "u"}, START], ids=["none", "null"])
def test_a_run_that_no_selector_chose_has_no_decision(start):
    assert decision_from_start(start) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"odd": 1}, "odd"),
        ({"number": "12"}, r"number is '12' \(.*integer"),
        ({"score": None}, r"score is None \(.*number"),
        ({"values": {"novelty": None}}, "values.novelty is None"),
        ({"coordinates": [1.0]}, r"coordinates is \[1.0\]"),
        ({"top": None}, "not a decision"),
        ({"top": [{"name": "a"}]}, "not a decision"),
        ({"top": [{"name": "a", "score": "b", "cost": 0}]}, "top.0.score is 'b'"),
    ],
    ids=str,
)
def test_a_malformed_decision_is_refused_with_what_is_wrong(changes, message):
    with pytest.raises(SelectionError, match=message):
        decision_from_start(start(**changes))


@pytest.mark.parametrize("begun", ["soon", [1.0]], ids=str)
def test_a_time_that_is_none_is_refused(begun):
    with pytest.raises(SelectionError, match="cannot begin at"):
        decision_from_start({**start(), "time": begun})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time": float("nan")}, "runs must be a list"),
        ({"decision": replace(RUN, number=-1)}, "number must be an integer"),
        ({"decision": replace(RUN, reason="")}, "text for reason"),
    ],
    ids=["time", "number", "reason"],
)
def test_what_a_server_would_refuse_makes_no_campaign(change, message):
    made = replace(decision_from_start(start()), **change)
    asked = []
    root = SimpleNamespace(get=asked.append)
    with pytest.raises(SelectionError, match=message):
        DecisionsPublisher(root).publish(made)
    assert not asked


def test_a_bad_row_is_left_out_of_the_table_and_logged(monkeypatch, caplog):
    rows = [
        {"key": "good", "number": 1, "runs": [{"uid": "r1", "time": 2.0}]},
        {"key": "odd", "number": 2, "runs": None},
        {"key": "strange", "number": 3, "runs": [{"uid": "r3"}]},
    ]
    monkeypatch.setattr(decisions_client, "summary_rows", lambda *_: iter(rows))
    table = decisions_client.decisions_table([SimpleNamespace(search=lambda _: None)])
    assert list(table["run_uid"]) == ["r1"]
    assert [record.args for record in caplog.records] == [("odd",), ("strange",)]


@pytest.mark.parametrize("decision", ["novelty", [1], {}, {"number": 1}], ids=str)
def test_what_is_no_decision_at_all_is_refused(decision):
    with pytest.raises(SelectionError, match="not a decision"):
        decision_from_start({**START, "decision": decision})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"campaign": ""}, "letters, digits"),
        ({"campaign": ".."}, "letters, digits"),
        ({"campaign": "night/7"}, "letters, digits"),
        ({"campaign": "Nächte"}, "letters, digits"),
        ({"campaign": "n" * 101}, "at most 100 characters"),
        ({"decision": replace(RUN, state_hash="../..")}, "letters, digits"),
        ({"decision": replace(RUN, run_uid="a/b")}, "letters, digits"),
        ({"decision": replace(RUN, reason="so " * 20_000)}, "too large: at most"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_could_be_no_node_is_refused(changes, message):
    made = replace(decision_from_start(start()), **changes)
    with pytest.raises(SelectionError, match=message):
        made.check()


def test_metadata_do_not_grow_with_the_candidates():
    top = [{"name": f"sample {i}", "score": 1.0, "cost": 0.0} for i in range(10_000)]
    made = decision_from_start(start(top=top, n_candidates=10_000))
    made.check()
    assert "top" not in made.facts
    assert len(json.dumps(made.facts)) < 1000


NODE = {
    **CampaignDecision("night", RUN, 7.0).facts,
    "run_uid": "run-1",
    "runs": [{"uid": "run-1", "time": 7.0}],
    "status": "complete",
}


def test_a_good_node_of_a_decision_passes():
    validate_choice(DECISION, NODE, None, "container", None)


@pytest.mark.parametrize(
    ("changes", "family", "message"),
    [
        ({}, "array", "must be a container"),
        ({"status": None}, "container", "status must be"),
        ({"reason": ""}, "container", "text for reason"),
        ({"run_uid": None}, "container", "text for run_uid"),
        ({"number": -1}, "container", "number must be an integer"),
        ({"number": True}, "container", "number must be an integer"),
        ({"key": None}, "container", "text for key"),
        ({"runs": None}, "container", "runs must be a list"),
        ({"runs": "run-1"}, "container", "runs must be a list"),
        ({"runs": ["run-1"]}, "container", "runs must be a list"),
        ({"runs": [{"uid": "run-1"}]}, "container", "runs must be a list"),
        ({"runs": [{"uid": "", "time": 7.0}]}, "container", "runs must be a list"),
        ({"runs": [{"uid": "r", "time": float("nan")}]}, "container", "runs must be"),
    ],
    ids=str,
)
def test_a_node_that_could_not_be_told_is_refused(changes, family, message):
    with pytest.raises(ValidationError, match=message):
        validate_choice(DECISION, {**NODE, **changes}, None, family, None)
