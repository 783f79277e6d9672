"""What an agent may do in a queue that people use, rule by rule."""

import re
from dataclasses import replace

import pytest

from ainerd_bluesky.agents import AgentRules, PlanTemplate, QueueAgent, journal
from ainerd_bluesky.agents.protocols import Mark
from ainerd_bluesky.errors import (
    AgentConflictError,
    ConfigError,
    QueueError,
    QueueUnreachableError,
)
from tests.unit.agents.conftest import FakeQueue, FakeResults, World, summary

RIVAL = Mark("other-agent-7", "polymers", "decision-000003-abc")


def test_an_item_carries_decision_campaign_and_signature(world):
    w = world(max_items=1)
    w.step()
    [added] = w.queue.added
    decision = added["meta"]["decision"]
    assert added["plan"] == "xpcs_scan"
    assert added["arguments"] == {"sample": decision["chosen"]}
    assert added["meta"]["campaign"] == "peptide"
    assert added["meta"]["agent"]["id"] == w.journal.agent
    assert decision["reason"]


def test_a_label_teaches_the_selector_and_makes_room(world):
    w = world(max_items=1, max_awaited=1)
    w.step()
    run_uid = w.queue.measure()
    assert w.step().n_awaited == 1
    w.label(run_uid)
    report = w.step()
    assert (report.n_labelled, report.n_queued) == (1, 1)
    assert [seen.run_uid for seen in w.journal.selector.observations] == [run_uid]


@pytest.mark.parametrize(
    ("rules", "n_expected"),
    [
        ({"max_items": 1, "max_awaited": 9}, 1),
        ({"max_items": 3, "max_awaited": 9}, 3),
        ({"max_items": 9, "max_awaited": 2}, 2),
        ({"max_items": 9, "max_awaited": 9, "n_scans": 4}, 4),
        ({"max_items": 99, "max_awaited": 99}, 6),
    ],
    ids=["one item", "three items", "awaited", "scans", "candidates"],
)
def test_no_more_items_than_allowed(world, rules, n_expected):
    w = world(**rules)
    for _ in range(3):
        w.step()
    assert len(w.queue.waiting) == n_expected


def test_a_running_item_counts_as_one_of_its_items(world):
    w = world(max_items=2)
    w.step()
    w.queue.start()
    w.step()
    assert len(w.queue.waiting) == 1


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (["own", "own"], ["own", "own"]),
        (["own", "own", "human"], ["human", "own", "own"]),
        (["human", "own", "human", "own"], ["human", "human", "own", "own"]),
        (["human", "human", "own"], ["human", "human", "own"]),
    ],
    ids=["alone", "human last", "between", "human first"],
)
def test_what_people_add_goes_first(world, before, expected):
    w = world(max_items=before.count("own"))
    w.step()
    own = iter(w.queue.waiting)
    w.queue.waiting = []
    for who in before:
        if who == "own":
            w.queue.waiting.append(next(own))
        else:
            w.queue.put()
    w.step()
    uids = {item.uid for item in w.queue.waiting if item.mark}
    assert ["own" if uid in uids else "human" for uid in w.queue.order] == expected


def test_its_items_keep_their_order_when_they_are_moved(world):
    w = world(max_items=3)
    w.step()
    own = w.queue.order
    human = w.queue.put().uid
    w.step()
    assert w.queue.order == [human, *own]


def test_what_people_have_is_never_moved_or_removed(world):
    w = world(max_items=2)
    humans = [w.queue.put().uid for _ in range(2)]
    failed = w.queue.put(outcome=None)
    for _ in range(4):
        w.step()
        w.queue.measure()
    left = [item.uid for item in [*w.queue.history, *w.queue.waiting] if not item.mark]
    assert left == [*humans, failed.uid]


def test_nothing_is_added_while_something_is_in_the_way(world):
    w = world()
    w.queue.obstacle = "a plan is paused: resume it, or stop it"
    report = w.step()
    assert not w.queue.added
    assert report.obstacle == "a plan is paused: resume it, or stop it"
    w.queue.obstacle = ""
    w.step()
    assert w.queue.added


def test_labels_are_learned_while_the_queue_is_paused(world):
    w = world(max_items=1)
    w.step()
    w.label(w.queue.measure())
    w.queue.obstacle = "paused"
    assert w.step().n_labelled == 1


@pytest.mark.parametrize("status", ["failed", "aborted", "halted"])
def test_an_item_that_fails_is_given_up_and_its_copy_removed(world, status):
    w = world(max_items=1)
    w.step()
    [entry] = w.journal.entries
    w.queue.start()
    w.queue.end(status, "no beam")
    report = w.step()
    assert entry.state == "released"
    assert entry.name not in w.journal.selector.pending
    assert any("no beam" in event for event in report.events)
    assert all(item.outcome is None for item in w.queue.waiting)
    assert len(set(w.keys)) == len(w.keys) == 2


def test_a_stopped_plan_may_have_a_label(world):
    w = world(max_items=1)
    w.step()
    w.queue.start()
    w.label(w.queue.end("stopped"))
    assert w.step().n_labelled == 1


def test_it_stops_after_several_failures_in_a_row(world):
    w = world(max_items=1, max_failures=2)
    w.step()
    w.queue.start()
    w.queue.end("failed", "no beam")
    w.step()
    w.queue.start()
    w.queue.end("failed", "shutter stuck")
    with pytest.raises(QueueError, match=r"2 items in a row failed.*shutter stuck"):
        w.step()


def test_plans_that_people_abort_are_no_failures(world):
    w = world(max_items=1, max_failures=1)
    w.step()
    w.queue.start()
    w.queue.end("aborted", "wrong sample")
    assert w.step().n_queued == 1


def test_an_item_that_a_person_removes_is_not_added_again(world):
    w = world(max_items=1, max_remeasures=2)
    w.step()
    removed = w.journal.entries[0].name
    w.queue.waiting = []
    for _ in range(8):
        w.step()
        w.queue.waiting and w.label(w.queue.measure())
    chosen = [item["arguments"]["sample"] for item in w.queue.added]
    assert chosen.count(removed) == 1
    assert len(chosen) == 6


@pytest.mark.parametrize("place", ["waiting", "running", "ended"])
def test_after_a_crash_in_the_middle_of_adding_nothing_is_added_twice(world, place):
    w = world(max_items=1)
    w.queue.answers_lost = 1
    with pytest.raises(QueueUnreachableError):
        w.step()
    if place != "waiting":
        w.queue.start()
    if place == "ended":
        w.label(w.queue.end())
    w.restart()
    w.step()
    assert len(w.keys) == (2 if place == "ended" else 1)
    assert len(set(w.keys)) == len(w.keys)


def test_a_decision_that_was_never_added_is_added_after_a_crash(world):
    w = world(max_items=1)
    w.queue.add = lambda *_: (_ for _ in ()).throw(QueueUnreachableError("away"))
    with pytest.raises(QueueUnreachableError):
        w.step()
    del w.queue.add
    w.restart()
    planned = [entry.decision.key for entry in w.journal.entries]
    w.step()
    assert w.keys == planned


def test_a_crash_at_any_step_changes_no_decision(tmp_path, world):
    def play(crashes):
        folder = tmp_path / str(crashes)
        folder.mkdir()
        w = type(world())(folder, AgentRules(max_items=1, max_awaited=2))
        for _ in range(12):
            w.step()
            if crashes:
                w.restart()
            if w.queue.waiting:
                w.label(w.queue.measure())
        return [item["arguments"]["sample"] for item in w.queue.added]

    assert play(crashes=True) == play(crashes=False)


class CrashError(Exception):
    """The process is gone."""


@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("n_effects", range(10))
def test_a_crash_around_any_write_adds_nothing_twice_and_loses_nothing(
    world, monkeypatch, n_effects, is_done
):
    left = [n_effects]

    def fragile(effect):
        def act(*arguments):
            left[0] -= 1
            if left[0] == -1 and not is_done:
                raise CrashError
            answer = effect(*arguments)
            if left[0] == -1 and is_done:
                raise CrashError
            return answer

        return act

    monkeypatch.setattr(journal, "write_json", fragile(journal.write_json))
    w = world(max_items=2, max_awaited=2)
    w.queue.add = fragile(w.queue.add)
    for _ in range(20):
        try:
            w.step()
        except CrashError:
            w.restart()
        if w.queue.waiting:
            w.label(w.queue.measure())
    chosen = [item["arguments"]["sample"] for item in w.queue.added]
    assert sorted(chosen) == ["S0", "S1", "S2", "S3", "S4", "S5"]
    assert {entry.state for entry in w.journal.entries} == {"labelled"}
    assert left[0] < 0


@pytest.mark.parametrize("where", ["waiting", "running"])
def test_another_agent_on_the_queue_is_an_error_that_names_it(world, where):
    w = world()
    w.queue.put("xpcs_scan", mark=RIVAL)
    if where == "running":
        w.queue.start()
    with pytest.raises(AgentConflictError, match=r"other-agent-7.*polymers.*take-over"):
        w.step()
    assert not w.queue.added


def test_of_two_agents_that_start_at_once_the_later_one_gives_way(world):
    w = world(max_items=2)
    w.step()
    w.queue.put("xpcs_scan", mark=RIVAL)
    w.step()  # the first one goes on
    w.queue.put("xpcs_scan", 0, mark=RIVAL)
    with pytest.raises(AgentConflictError):
        w.step()
    assert all(item.mark == RIVAL for item in w.queue.waiting)


@pytest.mark.parametrize("is_first_to_look", [True, False])
def test_of_two_agents_that_added_at_once_only_the_later_one_gives_way(
    tmp_path, is_first_to_look
):
    queue = FakeQueue()
    first, later = (_world(tmp_path / name, queue) for name in ("first", "later"))
    empty = queue.look()
    for w in (first, later):  # neither sees the item of the other
        with pytest.MonkeyPatch.context() as early:
            early.setattr(queue, "look", lambda: empty)
            w.step()
    beaten = []
    for w in [first, later] * 10 if is_first_to_look else [later, first] * 10:
        try:
            w.step()
        except AgentConflictError:
            beaten.append(w)
            break
    first.step()
    assert beaten == [later]
    assert [item.mark.agent for item in queue.waiting] == [first.journal.agent]


def _world(folder, queue, **rules):
    folder.mkdir()
    return World(folder, AgentRules(**{"max_items": 1, **rules}), queue=queue)


def test_the_first_agent_stays_first_when_another_adds_behind_it(world):
    w = world(max_items=1)
    w.step()
    w.queue.put("xpcs_scan", mark=RIVAL)
    order = w.queue.order
    w.step()
    assert w.queue.order == order


@pytest.mark.parametrize("place", ["waiting", "running", "ended"])
def test_an_item_that_a_person_saves_unchanged_stays_its_item(world, place):
    w = world(max_items=1)
    w.step()
    w.queue.edit()
    if place != "waiting":
        w.queue.start()
    if place == "ended":
        w.label(w.queue.end())
    w.step()
    expected = "labelled" if place == "ended" else "queued"
    assert w.journal.entries[0].state == expected
    assert len(w.queue.added) == (2 if place == "ended" else 1)


@pytest.mark.parametrize("place", ["waiting", "running", "ended"])
def test_an_item_that_a_person_edits_is_learned_as_what_was_measured(world, place):
    w = world(max_items=1)
    w.step()
    [entry] = w.journal.entries
    other = "S5" if entry.name != "S5" else "S4"
    edited = w.queue.edit(kwargs={"sample": other})
    run_uid = f"run-of-{edited.uid}"
    if place != "waiting":
        w.queue.start()
    if place == "ended":
        w.queue.end()
    said = w.step().events
    w.label(run_uid)
    w.results.news = [summary(run_uid, sample=other)]
    w.step()
    assert f"{entry.name}: a person changed its item, which is theirs" in said
    assert (entry.state, entry.run_uids) == ("removed", ())
    seen = [(one.name, one.run_uid) for one in w.journal.selector.observations]
    assert seen == [(other, run_uid)]
    assert entry.name not in [item["arguments"]["sample"] for item in w.queue.added[1:]]


def test_an_item_that_a_person_edits_is_never_moved_or_removed(world):
    w = world(max_items=1)
    w.step()
    edited = w.queue.edit(kwargs={"sample": "water"}).uid
    human = w.queue.put().uid
    for _ in range(2):
        w.step()
    [own] = [item.uid for item in w.queue.waiting if item.agent]
    assert w.queue.order == [edited, human, own]
    w.queue.start()
    w.queue.end("failed", "no beam")
    w.step()
    assert [item.name for item in w.queue.waiting] == [
        "xpcs_scan",
        "count",
        "xpcs_scan",
    ]
    assert w.queue.waiting[0].outcome.message == "no beam"


def test_an_item_that_a_person_edits_is_no_rivals(world):
    w = world(max_items=1)
    theirs = w.queue.put("xpcs_scan", mark=replace(RIVAL, arguments={"sample": "A"}))
    w.agent.take_over()
    w.step()
    assert [item.uid for item in w.queue.waiting][:1] == [theirs.uid]
    assert len(w.queue.waiting) == 2


def test_a_plan_of_before_is_not_taken_for_one_that_a_person_edited(world):
    w = world(max_items=1)
    w.step()
    w.template = PlanTemplate("xpcs_scan", arguments={"n_frames": 1024})
    w.restart()
    w.step()
    assert w.journal.entries[0].state == "queued"


@pytest.mark.parametrize(
    ("coordinate_arguments", "n_expected"), [({}, 1), ({"x0": "temperature"}, 0)]
)
def test_where_a_plan_sets_conditions_a_sample_tells_no_candidate(
    world, coordinate_arguments, n_expected
):
    w = world(max_items=1)
    w.template = PlanTemplate("xpcs_scan", coordinate_arguments=coordinate_arguments)
    w.restart()
    w.step()
    [entry] = w.journal.entries
    w.queue.edit(kwargs={**w.queue.waiting[0].kwargs, "temperature": 99.0})
    w.results.news = [summary(w.queue.measure(), sample=entry.name)]
    w.step()
    assert len(w.journal.selector.observations) == n_expected


def test_a_run_whose_history_was_cleared_is_awaited_and_learned_by_its_sample(world):
    w = world(max_items=1)
    w.step()
    name = w.journal.entries[0].name
    w.queue.start()
    w.step()
    run_uid = w.queue.end()
    w.queue.history = []
    assert w.step().n_awaited == 1
    w.results.news = [summary(run_uid, sample=name)]
    w.step()
    assert w.journal.entries[0].state == "labelled"
    assert [seen.name for seen in w.journal.selector.observations] == [name]


def test_a_failed_copy_tells_what_a_cleared_history_does_not(world):
    w = world(max_items=1)
    w.step()
    w.queue.start()
    w.step()
    w.queue.end("failed", "no beam")
    w.queue.history = []
    assert any("no beam" in event for event in w.step().events)
    assert w.journal.entries[0].state == "released"
    assert all(item.outcome is None for item in w.queue.waiting)


def test_what_a_rival_took_out_is_not_what_a_person_did_not_want(world):
    w = world(max_items=2)
    w.step()
    names = [entry.name for entry in w.journal.entries]
    w.queue.waiting = []
    rival = w.queue.put("xpcs_scan", mark=RIVAL)
    with pytest.raises(AgentConflictError):
        w.step()
    assert w.queue.waiting == [rival]
    w.queue.waiting = []
    w.restart()
    w.step()
    assert [item["arguments"]["sample"] for item in w.queue.added[2:]] == names


@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
def test_a_crash_while_giving_way_loses_nothing(world, monkeypatch, is_done):
    w = world(max_items=1)
    w.step()
    w.queue.put("xpcs_scan", 0, mark=RIVAL)
    remove = w.queue.remove

    def crash(uids):
        if is_done:
            remove(uids)
        raise CrashError

    with monkeypatch.context() as crashing:
        crashing.setattr(w.queue, "remove", crash)
        with pytest.raises(CrashError):
            w.step()
    w.queue.waiting = [item for item in w.queue.waiting if item.mark != RIVAL]
    w.restart()
    w.step()
    assert len(w.journal.entries) == 1
    assert len(w.queue.waiting) == 1


def test_decisions_from_before_a_crash_are_added_within_the_limits_of_now(world):
    w = world(max_items=2)
    w.step()
    w.queue.put("xpcs_scan", 0, mark=RIVAL)
    with pytest.raises(AgentConflictError):
        w.step()
    w.queue.waiting = []
    w.rules = AgentRules(max_items=1)
    w.restart()
    for _ in range(3):
        w.step()
    assert len(w.queue.waiting) == 1


def test_what_was_withdrawn_is_added_later(world):
    w = world(max_items=1)
    w.step()
    w.queue.put("xpcs_scan", 0, mark=RIVAL)
    with pytest.raises(AgentConflictError):
        w.step()
    w.queue.waiting = []
    w.restart()
    w.step()
    assert len(set(w.keys)) == 1
    assert len(w.queue.waiting) == 1


def test_taking_over_removes_what_the_other_has_waiting_and_nothing_else(world):
    w = world(max_items=1)
    human = w.queue.put().uid
    for _ in range(2):
        w.queue.put("xpcs_scan", mark=RIVAL)
    w.agent.take_over()
    assert "took over from agent other-agent-7" in w.step().events
    assert [item.uid for item in w.queue.waiting[:-1]] == [human]
    assert w.queue.waiting[-1].mark.agent == w.journal.agent


def test_taking_over_waits_for_a_server_that_is_away(world, monkeypatch):
    w = world(max_items=1)
    w.queue.put("xpcs_scan", mark=RIVAL)
    w.agent.take_over()
    with monkeypatch.context() as away:
        away.setattr(w.queue, "look", lambda: _fail(QueueUnreachableError("away")))
        with pytest.raises(QueueUnreachableError):
            w.step()
    assert "took over from agent other-agent-7" in w.step().events


def _fail(error):
    raise error


def test_an_item_of_the_other_that_runs_may_end_after_taking_over(world):
    w = world(max_items=1)
    w.queue.put("xpcs_scan", mark=RIVAL)
    w.queue.start()
    w.agent.take_over()
    w.step()
    assert len(w.queue.waiting) == 1
    w.queue.end()
    w.step()
    w.queue.put("xpcs_scan", 0, mark=RIVAL)
    with pytest.raises(AgentConflictError):
        w.step()


@pytest.mark.parametrize("is_running", [False, True])
def test_what_the_other_adds_before_it_sees_that_it_was_beaten_is_removed(
    world, is_running
):
    w = world(max_items=1)
    w.queue.put("xpcs_scan", mark=RIVAL)
    if is_running:
        w.queue.start()
    w.agent.take_over()
    w.step()
    w.queue.put("xpcs_scan", 0, mark=RIVAL)
    w.step()
    assert [item.mark.agent for item in w.queue.waiting] == [w.journal.agent]


def test_a_plan_that_is_not_allowed_is_refused_before_anything_is_done(world):
    w = world()
    template = PlanTemplate("heat_sample")
    with pytest.raises(ConfigError, match=r"heat_sample.*xpcs_scan"):
        QueueAgent(w.queue, w.results, w.journal, template, w.rules)


def test_a_plan_that_the_server_does_not_know_is_an_error(world):
    w = world()
    w.queue.plans = ("count",)
    with pytest.raises(QueueError, match="no plan 'xpcs_scan', only count"):
        w.step()


@pytest.mark.parametrize(
    ("trouble", "is_released"), [("", True), ("Tiled is away", False)]
)
def test_only_time_in_which_labels_could_come_counts(world, trouble, is_released):
    w = world(max_items=1, label_timeout=100)
    w.step()
    w.queue.measure()
    w.step()
    w.results.trouble = trouble
    for _ in range(6):
        w.clock.now += 20
        report = w.step()
    assert (w.journal.entries[0].state == "released") == is_released
    assert trouble in report.obstacle


def test_without_labels_it_stops_adding_says_so_and_is_never_done(world):
    w = world(max_items=1, max_awaited=2, label_timeout=60, max_failures=3)
    n_scans, report = 0, w.step()
    for _ in range(60):
        if w.queue.waiting:
            w.queue.measure()
            n_scans += 1
        w.clock.now += 20
        report = w.step()
    assert n_scans <= 4
    assert re.match(
        r"no label of the last \d runs: see `ainerd check`", report.obstacle
    )
    assert not report.is_finished
    w.results.news = [summary(w.journal.entries[0].run_uids[0])]
    assert w.step().obstacle == ""
    assert w.queue.waiting


def test_a_campaign_whose_only_run_had_no_label_is_not_done(world):
    w = world(max_items=1, n_scans=1, label_timeout=10)
    w.step()
    run_uid = w.queue.measure()
    for _ in range(3):
        w.step()
        w.clock.now += 20
    report = w.step()
    assert (report.is_finished, report.obstacle) == (
        False,
        "no label of any run: see `ainerd check`",
    )
    w.restart()
    assert not w.step().is_finished
    w.results.news = [summary(run_uid)]
    assert w.step().is_finished


def test_a_label_that_comes_late_is_learned_nevertheless(world):
    w = world(max_items=1, label_timeout=10)
    w.step()
    run_uid = w.queue.measure()
    w.step()
    w.clock.now += 20
    w.step()
    w.results.news = [summary(run_uid, sample="whatever")]
    w.step()
    assert [seen.run_uid for seen in w.journal.selector.observations] == [run_uid]


@pytest.mark.parametrize(
    ("learns", "sample", "n_expected"),
    [(True, "S3", 1), (True, "water", 0), (False, "S3", 0)],
    ids=["candidate", "other sample", "not wanted"],
)
def test_scans_of_people_teach_the_selector(world, learns, sample, n_expected):
    w = world(learns_from_others=learns)
    w.results.news = [summary("run-h", sample=sample)]
    w.step()
    assert len(w.journal.selector.observations) == n_expected
    assert all(item["arguments"]["sample"] != "S3" for item in w.queue.added) or (
        not n_expected
    )


def test_a_result_that_cannot_be_used_is_said_and_given_up(world):
    w = world(max_items=1)
    w.step()
    w.label(w.queue.measure(), "wobbly")
    report = w.step()
    assert any("wobbly" in event for event in report.events)
    assert w.journal.entries[0].state == "released"


@pytest.mark.parametrize("is_own", [True, False], ids=["own run", "of a person"])
def test_a_word_outside_the_vocabulary_is_learned_as_what_the_model_says(world, is_own):
    w = world(max_items=1, learns_from_others=True)
    w.step()
    named = {"model_label": "aging", "probabilities": {"aging": 0.2, "foam": 0.8}}
    if is_own:
        run_uid = w.queue.measure()
        w.results.summaries[run_uid] = summary(run_uid, "foam", **named)
    else:
        w.results.news = [summary("run-h", "foam", sample="S3", **named)]
    report = w.step()
    assert [seen.label for seen in w.journal.selector.observations] == ["aging"]
    assert any("aging (for 'foam')" in event for event in report.events)


def test_it_is_finished_when_all_is_labelled(world):
    w = world(max_items=1, n_scans=2)
    reports = []
    for _ in range(4):
        reports.append(w.step())
        if w.queue.waiting:
            w.label(w.queue.measure())
    assert [report.is_finished for report in reports] == [False, False, True, True]
    assert len(w.queue.added) == 2


def test_a_proposal_is_what_is_added_then_and_changes_nothing(world):
    w = world(max_items=1)
    before = w.journal.selector.state()
    [proposal] = w.agent.propose(1)
    assert w.journal.selector.state() == before
    assert not w.queue.added
    w.step()
    assert w.queue.added[0]["arguments"] == proposal.arguments


@pytest.mark.parametrize(
    ("rules", "n_steps", "n_expected"),
    [
        ({"max_items": 2}, 0, 2),
        ({"max_items": 2}, 1, 0),
        ({"max_items": 5, "max_awaited": 3}, 0, 3),
        ({"max_items": 5, "max_awaited": 5, "n_scans": 1}, 0, 1),
    ],
    ids=["items", "full", "awaited", "scans"],
)
def test_no_more_is_proposed_than_would_be_added(world, rules, n_steps, n_expected):
    w = world(**rules)
    for _ in range(n_steps):
        w.step()
    assert len(w.agent.propose(9)) == n_expected


def test_what_a_person_removed_is_not_proposed(world):
    w = world(max_items=9, max_awaited=9, max_remeasures=2)
    w.agent._rules = replace(w.rules, max_items=1)
    w.step()
    removed = w.journal.entries[0].name
    w.queue.waiting = []
    w.queue.obstacle = "paused"
    w.step()
    w.agent._rules = w.rules
    proposed = {proposal.arguments["sample"] for proposal in w.agent.propose(9)}
    assert proposed == {f"S{i}" for i in range(6)} - {removed}


def test_another_agent_or_a_closed_queue_is_told_before_anything_is_done(world):
    w = world()
    assert w.agent.find_obstacle() == ""
    w.queue.obstacle = "closed"
    assert w.agent.find_obstacle() == "closed"
    w.queue.put("xpcs_scan", mark=RIVAL)
    assert re.match(r"agent 'other-agent-7'.*works on this", w.agent.find_obstacle())
    assert not w.queue.added


def test_fakes_have_the_verbs_of_the_real_ones():
    from ainerd_bluesky.agents.queue_server import QueueServer
    from tiled_adapters.result_feed import ResultFeed

    for fake, real in ((FakeQueue, QueueServer), (FakeResults, ResultFeed)):
        verbs = {name for name in vars(real) if not name.startswith("_")} - {"close"}
        assert verbs <= set(dir(fake))
