"""The agent in a real queue server, with real labels from a real Tiled server."""

import json
import signal

import pytest

from tests.integration.queue_server.conftest import wait_for
from tiled_adapters.decisions_story import find_story

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]


def marked(items, campaign):
    """Return the items of a campaign's agent."""
    return [
        item
        for item in items
        if item.get("meta", {}).get("campaign") == campaign and item["user"]
    ]


def journal(lab, name):
    path = lab.folder / f"{name}-agent" / "agent.json"
    return json.loads(path.read_text())


@pytest.fixture(autouse=True)
def idle_queue(lab):
    """Leave no item to the next test."""
    yield
    lab.idle()


def test_a_campaign_survives_people_and_a_crash(lab, start_agent, catalog):
    campaign = lab.campaign("shelf", n_scans=3)
    agent = start_agent(campaign)
    [own] = wait_for(lambda: marked(lab.order(), "shelf"), "an item of the agent")

    human = lab.add_scan("sample-20")
    expected = [human, own["item_uid"]]
    wait_for(
        lambda: [item["item_uid"] for item in lab.order()] == expected, "human first"
    )

    agent.send(signal.SIGKILL)
    lab.api.queue_autostart(True)
    wait_for(lambda: len(lab.history()) >= 2, "two scans without the agent")
    agent = start_agent(campaign)
    assert agent.wait() == 0, agent.said()

    history = lab.history()
    scans = marked(history, "shelf")
    keys = [item["meta"]["agent"]["key"] for item in scans]
    assert history[0]["item_uid"] == human
    assert len(keys) == len(set(keys)) == 3
    assert {entry["state"] for entry in journal(lab, "shelf")["entries"]} == {
        "labelled"
    }
    for item in scans:
        [run_uid] = item["result"]["run_uids"]
        start = catalog["raw", run_uid].metadata["start"]
        assert start["decision"]["chosen"] == item["kwargs"]["sample"]
        assert start["campaign"] == "shelf"
        assert catalog["processed/xpcs", run_uid].metadata["status"] == "complete"


def test_a_crash_before_the_item_is_known_adds_nothing_twice(lab, start_agent):
    campaign = lab.campaign("crash")
    agent = start_agent(campaign)
    wait_for(lambda: marked(lab.order(), "crash"), "an item of the agent")
    agent.send(signal.SIGKILL)
    path = lab.folder / "crash-agent" / "agent.json"
    state = json.loads(path.read_text())
    for entry in state["entries"]:  # as if the answer of the server had been lost
        entry |= {"state": "planned", "item_uid": ""}
    path.write_text(json.dumps(state))

    agent = start_agent(campaign)
    wait_for(lambda: "in the queue already" in agent.said(), "the item found again")
    agent.send(signal.SIGINT)
    assert len(marked(lab.order(), "crash")) == 1


def test_an_item_that_a_person_edits_is_learned_as_what_was_measured(
    lab, start_agent, catalog
):
    agent = start_agent(lab.campaign("edited", n_scans=1))
    [own] = wait_for(lambda: marked(lab.order(), "edited"), "an item of the agent")
    agent.send(signal.SIGINT)
    chosen = own["kwargs"]["sample"]
    other = "sample-08" if chosen != "sample-08" else "sample-07"
    edited = {**own, "kwargs": {**own["kwargs"], "sample": other}}
    lab.api.item_update(edited, replace=True)

    agent = start_agent(lab.folder / "edited.toml")
    wait_for(lambda: "a person changed its item" in agent.said(), "the edited item")
    wait_for(lambda: len(marked(lab.order(), "edited")) == 2, "its next item")
    lab.api.queue_autostart(True)
    assert agent.wait() == 0, agent.said()

    run_uid = lab.history()[-2]["result"]["run_uids"][0]
    learned = {
        event["run_uid"]: event["name"]
        for event in journal(lab, "edited")["selector"]["events"]
        if event["event"] == "observe"
    }
    assert learned[run_uid] == other
    story = find_story(catalog, run_uid)
    assert (story.decision.chosen, story.other_sample) == (chosen, other)
    assert not story.is_published


def test_ctrl_c_ends_it_and_its_items_stay(lab, start_agent):
    agent = start_agent(lab.campaign("calm"))
    wait_for(lambda: marked(lab.order(), "calm"), "an item of the agent")
    wait_for(lambda: "not started: start it" in agent.said(), "the hint")
    assert agent.send(signal.SIGINT) == 0, agent.said()
    assert "1 item(s) stay in the queue" in agent.said()
    assert len(marked(lab.order(), "calm")) == 1


def test_a_dry_run_says_what_and_why_and_changes_nothing(lab, start_agent):
    campaign = lab.campaign("dry")
    agent = start_agent(campaign, "--dry-run")
    assert agent.wait() == 0, agent.said()
    assert "xpcs_scan(" in agent.said()
    assert "nothing is measured yet" in agent.said()
    assert lab.order() == []
    assert not (lab.folder / "dry-agent").exists()


def test_two_agents_on_one_queue(lab, start_agent):
    first = start_agent(lab.campaign("first"))
    [own] = wait_for(lambda: marked(lab.order(), "first"), "an item of the agent")

    same = start_agent(lab.folder / "first.toml")
    assert same.wait() == 1
    assert f"process {first.process.pid}" in same.said()

    second = start_agent(lab.campaign("second"))
    assert second.wait() == 1
    assert own["meta"]["agent"]["id"] in second.said()
    assert [item["item_uid"] for item in lab.order()] == [own["item_uid"]]

    second = start_agent(lab.folder / "second.toml", "--take-over")
    assert first.wait() == 1, first.said()
    assert "of campaign 'second'" in first.said()
    wait_for(lambda: marked(lab.order(), "second"), "an item of the other agent")
    assert not marked(lab.order(), "first")


def test_a_plan_that_fails_is_given_up(lab, start_agent):
    campaign = lab.campaign("faulty", n_scans=1)
    text = campaign.read_text().replace("sample-0", "no-such-sample-")
    campaign.write_text(text)
    agent = start_agent(campaign)
    wait_for(lambda: marked(lab.order(), "faulty"), "an item of the agent")
    lab.api.queue_start()
    wait_for(lambda: "given up" in agent.said(), "the failure")
    agent.send(signal.SIGINT)
    assert "ended as 'failed'" in agent.said()
    assert "no sample 'no-such-sample-" in agent.said()
    assert all("result" not in item for item in lab.order())


def test_without_a_queue_server_it_waits_and_says_so(lab, start_agent):
    campaign = lab.campaign("early")
    beamline = lab.folder / "demo.toml"
    away = lab.folder / "away.toml"
    away.write_text(
        beamline.read_text().replace(lab.control_address, "tcp://127.0.0.1:9")
    )
    campaign.write_text(campaign.read_text().replace("demo.toml", "away.toml"))
    agent = start_agent(campaign)
    wait_for(lambda: "no queue server answers" in agent.said(), "what it waits for")
    assert agent.send(signal.SIGINT) == 0, agent.said()
