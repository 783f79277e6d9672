from dataclasses import replace
from datetime import date

import pytest

from ainerd_bluesky.agents import PlanTemplate
from ainerd_bluesky.agents.items import decision_meta, items_by_key, read_mark
from ainerd_bluesky.agents.protocols import Item, Mark
from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.selection import Candidate, Decision
from tests.unit.agents.conftest import make_selector


def test_sample_and_conditions_become_arguments():
    template = PlanTemplate(
        "heat_and_scan", "name", {"T": "temperature"}, {"n_frames": 100}
    )
    candidate = Candidate("A at 20", (20.0, 5.0), sample="A")
    assert template.fill(candidate, {"T": 20.0, "c": 5.0}) == {
        "n_frames": 100,
        "name": "A",
        "temperature": 20.0,
    }


@pytest.mark.parametrize(
    "settings",
    [
        {"arguments": {"sample": "A"}},
        {"coordinate_arguments": {"T": "sample"}},
        {"coordinate_arguments": {"T": "t"}, "arguments": {"t": 1}},
    ],
    ids=["sample", "coordinate", "both"],
)
def test_an_argument_given_twice_is_an_error(settings):
    with pytest.raises(ConfigError, match="more than once"):
        PlanTemplate("xpcs_scan", **settings)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), date(2026, 1, 1)], ids=str
)
def test_an_argument_that_a_queue_cannot_keep_is_an_error(value):
    with pytest.raises(ConfigError, match="which a queue cannot keep"):
        PlanTemplate("xpcs_scan", arguments={"when": value})


def test_an_axis_that_candidates_do_not_have_is_an_error():
    template = PlanTemplate("xpcs_scan", coordinate_arguments={"T": "temperature"})
    with pytest.raises(ConfigError, match=r"wants coordinates \['T'\].*\['x0'\]"):
        template.fill(Candidate("A", (1.0,)), {"x0": 1.0})


def test_a_signed_item_is_known_again_and_its_decision_can_be_read():
    [suggestion] = make_selector().suggest()
    template = PlanTemplate("xpcs_scan", arguments={"roi": (1, 2)})
    arguments = template.fill(suggestion.candidate, {})
    meta = decision_meta(
        "peptide-1a", "peptide", suggestion.decision, template, arguments
    )
    added = {"roi": [1, 2], "sample": suggestion.candidate.name}
    assert read_mark(meta) == Mark(
        "peptide-1a", "peptide", suggestion.decision.key, "xpcs_scan", added
    )
    assert meta["agent"]["sample"] == suggestion.candidate.name
    assert Decision.from_json(meta["decision"]) == suggestion.decision


@pytest.mark.parametrize(
    "meta",
    [None, "agent", [], {}, {"agent": "me"}, {"agent": {"name": "me"}}, [{"agent": 1}]],
    ids=str,
)
def test_whatever_people_write_is_no_signature(meta):
    assert read_mark(meta) is None


MARK = Mark("me", "c", "k", "xpcs_scan", {"sample": "A", "n_frames": 96})


@pytest.mark.parametrize(
    ("change", "agent"),
    [
        ({}, "me"),
        ({"user": "operator", "uid": "2"}, "me"),
        ({"kwargs": {"n_frames": 96.0, "sample": "A"}}, "me"),
        ({"mark": Mark("me", "c", "k")}, "me"),
        ({"mark": None}, ""),
        ({"name": "count"}, ""),
        ({"args": ("detector",)}, ""),
        ({"kwargs": {"sample": "B", "n_frames": 96}}, ""),
        ({"kwargs": {"sample": "A", "n_frames": 512}}, ""),
        ({"kwargs": {"sample": "A"}}, ""),
    ],
    ids=[
        "as added", "another uid", "the same numbers", "of a mark before", "a person's",
        "plan", "place", "sample", "frames", "one less",
    ],
)  # fmt: skip
def test_an_item_is_its_agents_until_a_person_changes_what_it_does(change, agent):
    item = Item("1", "xpcs_scan", mark=MARK, kwargs=dict(MARK.arguments))
    assert replace(item, **change).agent == agent


def test_items_are_found_by_decision_and_agent():
    items = [
        Item("1", "p", mark=Mark("me", "c", "k1")),
        Item("2", "p", mark=Mark("you", "c", "k2")),
        Item("3", "p"),
        Item("4", "p", mark=Mark("me", "c", "k1")),
        Item("5", "p", mark=Mark("me")),
    ]
    assert {key: item.uid for key, item in items_by_key(items, "me").items()} == {
        "k1": "1"
    }
