"""Decisions in a real catalog: one node each, whoever writes, and told in words."""

import json
import threading
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from tiled.client.utils import ClientError
from typer.testing import CliRunner

from ainerd_bluesky.cli import app
from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection import (
    Candidate,
    Coverage,
    Observation,
    Ranked,
    StrategySelector,
)
from ainerd_bluesky.selection.saving import save_state
from tiled_adapters.commands import register
from tiled_adapters.decisions import (
    DecisionsPublisher,
    decision_from_node,
    decision_from_start,
)
from tiled_adapters.decisions_client import XPCSDecision, XPCSDecisions
from tiled_adapters.publish import ResultsPublisher

pytestmark = pytest.mark.integration


@pytest.fixture
def campaign():
    """A campaign that nobody else has: the server is shared."""
    return f"campaign-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def decided(campaign):
    """Let a selector decide; each call makes the next decision, with a run of it."""
    places = {f"Probe {n} °C, ungewöhnlich {'lang ' * 40}": n for n in range(5)}
    candidates = [Candidate(name, (float(n),)) for name, n in places.items()]
    selector = StrategySelector(candidates, Coverage())

    def decide(run_uid=None):
        [suggestion] = selector.suggest()
        name = suggestion.candidate.name
        selector.ingest([Observation(name, "aging", 0.9, 0.1, {"aging": 0.9})])
        uid = run_uid or str(uuid.uuid4())
        start = {
            "uid": uid,
            "time": 100.0 + suggestion.decision.number,
            "campaign": campaign,
            "decision": json.loads(json.dumps(suggestion.decision.as_json())),
        }
        return decision_from_start(start)

    decide.selector = selector
    return decide


@pytest.fixture
def publish(catalog):
    return DecisionsPublisher(catalog).publish


def node_of(catalog, made):
    return catalog[f"processed/decisions/{made.path}"]


def test_a_decision_comes_back_as_the_selector_made_it(catalog, decided, publish):
    made = decided()
    assert publish(made) == made.path
    node = node_of(catalog, made)
    assert isinstance(node, XPCSDecision)
    assert node.decision == made.decision
    assert node.run_uids == (made.decision.run_uid,)
    assert list(node.ranked["name"]) == [ranked.name for ranked in made.decision.top]
    assert made.decision.reason in repr(node)


def test_a_second_result_of_the_run_changes_nothing(catalog, decided, publish):
    made = decided()
    publish(made)
    node = node_of(catalog, made)
    before = node.metadata, len(node.metadata_revisions[:])
    publish(made)
    node.refresh()
    assert (node.metadata, len(node.metadata_revisions[:])) == before


@pytest.mark.parametrize("n_runs", [1, 3], ids=["one run", "three runs"])
def test_publishers_at_once_leave_one_decision(connect, catalog, decided, n_runs):
    made = decided()
    uids = [str(uuid.uuid4()) for _ in range(n_runs)] * (4 - n_runs)
    threads = [
        threading.Thread(target=DecisionsPublisher(connect()).publish, args=(one,))
        for one in (replace(made, decision=made.decision.of_run(uid)) for uid in uids)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    node = node_of(catalog, made)
    assert list(node.parent) == [made.decision.key]
    assert sorted(node.run_uids) == sorted(set(uids))
    assert node.decision.of_run("") == made.decision.of_run("")


def test_a_decision_that_was_taken_again_stays_one_with_both_runs(
    catalog, decided, publish
):
    made = decided()
    again = replace(made, decision=made.decision.of_run(str(uuid.uuid4())), time=500.0)
    for one in (made, again, made):
        publish(one)
    node = node_of(catalog, made)
    assert node.run_uids == (made.decision.run_uid, again.decision.run_uid)
    assert node.metadata["run_uid"] == again.decision.run_uid
    table = catalog["processed/decisions", made.campaign].decisions_table()
    assert list(table["run_uid"]) == list(node.run_uids)


def test_what_a_crash_has_left_is_completed(catalog, decided, publish, monkeypatch):
    made = decided()
    with monkeypatch.context() as patch:
        patch.setattr("tiled_adapters.decisions._set", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            publish(made)
    node = node_of(catalog, made)
    with pytest.raises(SelectionError, match="no complete decision"):
        decision_from_node(node)
    assert node.parent.decisions_table().empty
    publish(made)
    node.refresh()
    assert node.decision == made.decision


def test_another_choice_under_the_same_key_is_refused(catalog, decided, publish):
    made = decided()
    publish(made)
    other = replace(made, decision=replace(made.decision, chosen="something else"))
    with pytest.raises(SelectionError, match="not 'something else': give each"):
        publish(other)
    assert node_of(catalog, made).decision == made.decision


def test_ten_thousand_candidates_make_a_table_and_no_metadata(
    catalog, decided, publish
):
    top = tuple(Ranked(f"Probe {n} °C", 1 / (n + 1), 2.0) for n in range(10_000))
    made = decided()
    made = replace(made, decision=replace(made.decision, top=top, n_candidates=10_000))
    publish(made)
    node = node_of(catalog, made)
    assert len(str(node.metadata)) < 5000
    assert node.decision.top == top


def test_a_decision_without_ranked_candidates_is_kept(catalog, decided, publish):
    made = decided()
    made = replace(made, decision=replace(made.decision, top=()))
    publish(made)
    assert node_of(catalog, made).decision == made.decision


def test_a_server_refuses_a_decision_without_a_reason(
    catalog, decided, publish, monkeypatch
):
    skip = "tiled_adapters.decisions._require_valid"
    monkeypatch.setattr(skip, lambda _metadata: None)
    made = decided()
    made = replace(made, decision=replace(made.decision, reason=""))
    with pytest.raises(ClientError, match="needs a text for reason"):
        publish(made)


def test_a_decision_is_found_by_its_run(catalog, decided, publish):
    one, other = decided(), decided()
    for made in (one, other):
        publish(made)
    decisions = catalog["processed/decisions"]
    uid = other.decision.run_uid
    assert decisions.of_run(uid).decision == other.decision
    assert decisions.of_run(uid[:13]).decision == other.decision
    with pytest.raises(KeyError, match="no decision of a run"):
        decisions.of_run(uid[1:13])


def test_a_campaign_is_a_table_in_the_order_of_its_runs(catalog, decided, publish):
    made = [decided() for _ in range(3)]
    for one in reversed(made):
        publish(one)
    campaign = catalog["processed/decisions", made[0].campaign]
    assert isinstance(campaign, XPCSDecisions)
    table = campaign.decisions_table()
    assert list(table["run_uid"]) == [one.decision.run_uid for one in made]
    assert list(table["n_observations"]) == [0, 1, 2]
    everything = catalog["processed/decisions"].decisions_table()
    assert set(table["run_uid"]) < set(everything["run_uid"])


def test_the_documented_queries_run(decided, publish, tiled_server, monkeypatch):
    made = decided()
    publish(made)
    monkeypatch.setenv("TILED_API_KEY", tiled_server.api_key)
    page = (Path(__file__).parents[2] / "docs/how-to/decisions.md").read_text()
    code = next(block for block in page.split("```python\n") if "of_run" in block)
    code = code.partition("```")[0].replace("http://127.0.0.1:8000", tiled_server.uri)
    names = {"uid": made.decision.run_uid[:6]}
    exec(code.replace("night-shift", made.campaign), names)
    assert names["decision"].reason == made.decision.reason
    names["decisions"].context.http_client.close()


# --- commands -----------------------------------------------------------------


@pytest.fixture(scope="module")
def ainerd(tiled_server):
    """Run a command against the server; return what it prints, or its error."""
    register(app)

    def run(*arguments):
        environment = {"TILED_API_KEY": tiled_server.api_key, "COLUMNS": "200"}
        asked = [*arguments, "--uri", tiled_server.uri]
        done = CliRunner().invoke(app, asked, env=environment)
        if isinstance(done.exception, SelectionError):
            return str(done.exception)
        assert done.exit_code == 0, done.output
        return done.output

    return run


def test_why_tells_a_decision_whose_run_is_kept_elsewhere(
    ainerd, decided, publish, results, make_analysis
):
    made = decided()
    publish(made)
    uid = made.decision.run_uid
    ResultsPublisher(results).publish(make_analysis(run_uid=uid))
    told = ainerd("why", uid[:10])
    assert uid in told
    assert made.decision.reason[:30] in told
    assert "The run gave aging (0.90)." in told


def test_why_takes_a_decision_again_from_the_saved_selector(
    ainerd, decided, publish, tmp_path
):
    made = [decided() for _ in range(2)]
    for one in made:
        publish(one)
    save_state(decided.selector, tmp_path / "night.json")
    state = ["--state", str(tmp_path / "night.json")]
    told = ainerd("why", made[1].decision.run_uid, *state)
    assert "night.json: the same choice" in told.replace("\n", "")


def test_decisions_are_listed_with_what_came_of_them(
    ainerd, campaign, decided, publish, results, make_analysis
):
    made = [decided() for _ in range(3)]
    for one in made:
        publish(one)
    analysis = make_analysis("static", run_uid=made[1].decision.run_uid)
    ResultsPublisher(results).publish(analysis)
    rows = json.loads(ainerd("decisions", campaign, "-n", "2", "--json"))
    assert [row["number"] for row in rows] == [1, 2]
    assert [row["label"] for row in rows] == ["static", None]
    listed = ainerd("decisions", campaign)
    assert "3 decisions" in listed
    assert "static (0.90)" in listed


def test_an_unknown_campaign_is_answered_with_those_that_are(
    ainerd, campaign, decided, publish
):
    publish(decided())
    assert campaign in ainerd("decisions", "nobody")


@pytest.mark.parametrize("run", ["0", "1a2b3", "4294967295", "no-such-run", "%%%%%%"])
def test_why_of_no_run_names_it(ainerd, run):
    assert f"run {run}" in ainerd("why", run)
