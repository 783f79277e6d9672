import asyncio
import math
import threading

import pytest
from bluesky.simulators import RunEngineSimulator
from bluesky.utils import FailedStatus, RunEngineInterrupted
from ophyd_async.core import AsyncStatus

from ainerd_bluesky.errors import ConfigError, NoLabelsError
from ainerd_bluesky.plans import (
    AllLabelsSeen,
    Budget,
    LabelFound,
    Spots,
    autonomous_xpcs,
)
from ainerd_bluesky.plans.doses import Dose
from ainerd_bluesky.selection import (
    Candidate,
    Coverage,
    Decision,
    NoveltySelector,
    SelectorSettings,
    StrategySelector,
    Suggestion,
    discovery,
)
from tests.unit.plans.conftest import Motor, Results, make_shelf, summary


class InOrder:
    """A selector that only suggests and learns: the least that a plan needs."""

    def __init__(self, candidates):
        self.left = list(candidates)
        self.learned = []

    def suggest(self, n_suggestions=1):
        taken, self.left = self.left[:n_suggestions], self.left[n_suggestions:]
        return [Suggestion(candidate, 1.0, "the next one") for candidate in taken]

    def ingest(self, observations):
        self.learned += observations


@pytest.fixture
def series(RE, camera, stage):
    """Run a series; return the uids of its runs."""

    def run(selector, results, **settings):
        plan = autonomous_xpcs(camera, stage, selector, results, **settings)
        return RE(plan).plan_result

    return run


def test_each_label_is_learned_before_the_next_choice(series, stage, documents):
    selector = NoveltySelector(make_shelf())
    results = Results(*(summary(novelty=n / 10) for n in range(3)))
    uids = series(selector, results, n_scans=3, timeout=9, n_frames=64)
    assert uids == [start["uid"] for start in documents.start]
    assert stage.visited == [start["sample"] for start in documents.start]
    assert [seen.novelty for seen in selector.observations] == [0.0, 0.1, 0.2]
    assert [seen.run_uid for seen in selector.observations] == uids
    assert {start["n_frames"] for start in documents.start} == {64}
    assert {timeout for _, timeout in results.asked} == {9}


def test_the_start_document_holds_the_decision(series, documents):
    selector = NoveltySelector(make_shelf())
    first = selector.state_hash
    series(selector, Results(), n_scans=2, campaign="gels", md={"user": "me"})
    assert [start["campaign"] for start in documents.start] == ["gels", "gels"]
    decisions = [Decision.from_json(start["decision"]) for start in documents.start]
    assert [decision.number for decision in decisions] == [0, 1]
    assert decisions[0].state_hash == first
    assert decisions[1].chosen == documents.start[1]["sample"]
    assert documents.start[0]["user"] == "me"


def test_a_candidate_of_a_sample_is_named_by_it(series, stage, documents):
    shelf = [Candidate("gel at 20", (20.0,), sample="gel")]
    series(NoveltySelector(shelf), Results())
    assert stage.visited == ["gel at 20"]
    assert documents.start[0]["sample"] == "gel"


def test_a_label_that_does_not_come_does_not_end_the_series(series, stage):
    selector = NoveltySelector(make_shelf())
    series(selector, Results(summary(), None, summary()), n_scans=3)
    assert len(set(stage.visited)) == 3
    assert len(selector.observations) == 2
    assert selector.pending == (stage.visited[1],)


def test_a_late_label_is_learned_before_the_next_choice(series, stage):
    selector = NoveltySelector(make_shelf())
    results = Results(default=summary(), late={0})
    series(selector, results, n_scans=2, timeout=7.0)
    assert {seen.name for seen in selector.observations} == set(stage.visited)
    assert [timeout for _, timeout in results.asked] == [7.0, 7.0, 0.0]


def test_without_any_server_the_series_goes_its_own_way(series, stage, caplog):
    selector = StrategySelector(make_shelf(), Coverage())
    series(selector, Results(default=ConnectionError("no route to host")))
    assert sorted(stage.visited) == ["s0", "s1", "s2", "s3", "s4"]
    assert "no route to host" in caplog.text


@pytest.mark.parametrize(
    "odd",
    [
        {"label": "aging"},
        summary(novelty="much"),
        summary(novelty=math.nan),
        summary(probabilities={"aging": math.nan}),
        summary(label="unheard-of"),
    ],
    ids=str,
)
def test_a_label_that_teaches_nothing_does_not_end_the_series(
    series, stage, odd, caplog
):
    selector = NoveltySelector(make_shelf())
    uids = series(selector, Results(odd, summary()), n_scans=2)
    assert len(set(stage.visited)) == 2
    assert [seen.run_uid for seen in selector.observations] == uids[1:]
    assert f"nothing is learned of sample '{stage.visited[0]}', run {uids[0]}" in (
        caplog.text
    )
    assert selector.pending == ()


def test_the_series_ends_when_no_candidate_is_left(series, stage):
    series(NoveltySelector(make_shelf()), Results(default=summary()))
    assert sorted(stage.visited) == ["s0", "s1", "s2", "s3", "s4"]


def test_a_selector_that_only_suggests_and_learns_will_do(series, stage):
    selector = InOrder(make_shelf(3))
    series(selector, Results(summary(), None, summary()), goal=LabelFound("aging", 2))
    assert stage.visited == ["s0", "s1", "s2"]
    assert [seen.name for seen in selector.learned] == ["s0", "s2"]


@pytest.mark.parametrize(
    ("limits", "n_scans"),
    [
        ({"budget": Budget(max_scans=2)}, 2),
        ({"budget": Budget(max_beam_time=3.0)}, 3),
        ({"budget": Budget(max_time=0.0)}, 0),
        ({"n_scans": 1, "budget": Budget(max_beam_time=3.0)}, 1),
        ({"goal": LabelFound("aging", 4)}, 4),
        ({"goal": lambda seen: len(seen) >= 2}, 2),
        ({"n_scans": 0}, 0),
    ],
    ids=["scans", "beam time", "time", "first of two", "label", "function", "none"],
)
def test_a_series_ends_at_its_budget_or_goal(series, stage, limits, n_scans):
    selector = NoveltySelector(make_shelf())
    results = Results(default=summary())
    series(selector, results, n_frames=100, frame_time=0.01, **limits)
    assert len(stage.visited) == n_scans


def test_a_goal_that_was_reached_before_needs_no_scan(series, stage):
    selector = NoveltySelector(make_shelf())
    series(selector, Results(default=summary()), n_scans=1)
    assert series(selector, Results(), goal=LabelFound("aging")) == []


def test_a_failed_scan_is_given_up_and_the_next_one_measured(
    series, camera, documents, caplog
):
    camera.broken = [True, False]
    selector = NoveltySelector(make_shelf())
    uids = series(selector, Results(default=summary()), n_scans=3)
    assert [stop["exit_status"] for stop in documents.stop] == [
        "fail",
        "success",
        "success",
    ]
    # The beam was on: it counts.
    assert uids == [start["uid"] for start in documents.start[1:]]
    assert "no frames came" in caplog.text
    failed = documents.start[0]["sample"]
    assert failed not in {seen.name for seen in selector.observations}
    assert selector.pending == ()


def test_a_sample_that_cannot_be_reached_costs_no_scan(RE, camera, documents):
    stage = Motor("stage", broken={"s0"})
    plan = autonomous_xpcs(
        camera, stage, InOrder(make_shelf()), Results(default=summary()), n_scans=2
    )
    RE(plan)
    assert stage.visited == ["s1", "s2"]
    assert camera.n_exposures == 2


def test_failures_in_a_row_end_the_series_with_the_last(series, camera, documents):
    camera.broken = [True, False, True, True, True]
    selector = NoveltySelector(make_shelf(9))
    with pytest.raises(FailedStatus) as error:
        series(selector, Results(default=summary()), max_failures=3)
    assert "no frames came" in str(error.value.__cause__)
    assert len(documents.start) == 5
    assert selector.pending == ()


def test_a_refused_scan_may_be_tried_again(series, stage):
    selector = StrategySelector(
        make_shelf(1), Coverage(), settings=SelectorSettings(max_remeasures=1)
    )
    refused = summary(label="invalid", probabilities={})
    series(selector, Results(refused, summary()))
    assert stage.visited == ["s0", "s0"]


def test_a_late_refusal_frees_its_sample_at_the_end(series, stage):
    selector = StrategySelector(
        make_shelf(1), Coverage(), settings=SelectorSettings(max_remeasures=1)
    )
    refused = summary(label="invalid", probabilities={})
    series(selector, Results(refused, summary(), late={0}))
    assert stage.visited == ["s0", "s0"]


@pytest.mark.parametrize("moment", ["exposing", "waiting"])
def test_after_a_pause_the_series_goes_on_with_what_it_did(
    RE, camera, stage, documents, moment
):
    results = Results(default=summary())
    camera.seconds = 0.2
    pauses = [True]

    def pause():
        if pauses.pop() if pauses else False:
            threading.Timer(0.05, RE.request_pause).start()

    if moment == "exposing":
        camera.during = pause
    else:
        ask = results.wait

        async def wait(run_uid, timeout):
            pause()
            await asyncio.sleep(0.2)
            return await ask(run_uid, timeout)

        results.wait = wait

    selector = NoveltySelector(make_shelf())
    with pytest.raises(RunEngineInterrupted):
        RE(autonomous_xpcs(camera, stage, selector, results, n_scans=3))
    n_before = len(documents.start)
    RE.resume()
    assert n_before == 1
    assert camera.n_exposures == len(documents.start) == len(set(stage.visited)) == 3
    assert len(selector.observations) == 3
    assert {stop["exit_status"] for stop in documents.stop} == {"success"}


@pytest.mark.parametrize("way_out", ["abort", "stop", "halt"])
def test_what_is_interrupted_is_released_and_may_come_again(
    RE, camera, stage, series, way_out
):
    camera.seconds = 0.3
    camera.during = lambda: threading.Timer(0.05, RE.request_pause).start()
    selector = NoveltySelector(make_shelf(2))
    with pytest.raises(RunEngineInterrupted):
        RE(autonomous_xpcs(camera, stage, selector, Results()))
    getattr(RE, way_out)()
    assert selector.pending == ()
    assert selector.n_left == 2
    camera.seconds, camera.during = 0.0, lambda: None
    assert len(series(selector, Results(default=summary()))) == 2


def test_what_is_measured_stays_awaited_after_an_abort(RE, camera, stage):
    results = Results()

    async def wait(run_uid, timeout):
        threading.Timer(0.05, RE.request_pause).start()
        await asyncio.sleep(0.5)

    results.wait = wait
    selector = NoveltySelector(make_shelf(2))
    with pytest.raises(RunEngineInterrupted):
        RE(autonomous_xpcs(camera, stage, selector, results))
    RE.abort()
    assert selector.pending == (stage.visited[0],)


def test_each_scan_gets_a_fresh_spot(RE, camera, stage, documents):
    x = Motor("x")
    spots = Spots([x], [(0.0,), (0.5,)], spacing=0.5)
    shelf = [Candidate(f"{t} C", (float(t),), sample="gel") for t in (20, 30, 40)]
    results = Results(default=summary())
    RE(autonomous_xpcs(camera, stage, InOrder(shelf), results, spots=spots))
    assert x.visited == [0.0, 0.5]
    assert [start["spot"]["position"] for start in documents.start] == [[0.0], [0.5]]
    assert [event["data"]["x"] for event in documents.event] == [0.0, 0.5]
    assert [dose.run_uid for dose in spots.doses] == [
        start["uid"] for start in documents.start
    ]


def test_a_sample_without_a_fresh_spot_drops_out(RE, camera, stage, caplog):
    spots = Spots([Motor("x")], [(0.0,)])
    names = ["gel", "gel", "foam"]
    shelf = [Candidate(f"c{i}", sample=name) for i, name in enumerate(names)]
    results = Results(default=summary())
    RE(autonomous_xpcs(camera, stage, InOrder(shelf), results, spots=spots))
    assert stage.visited == ["c0", "c2"]
    assert "'c1' drops out: sample 'gel' has no fresh spot left" in caplog.text


def test_dose_is_booked_before_the_exposure(RE, camera, stage):
    spots = Spots([Motor("x")], [(0.0,)])
    booked = []
    camera.during = lambda: booked.append(len(spots.doses))
    camera.broken = [True]
    selector = NoveltySelector(make_shelf(1))
    RE(autonomous_xpcs(camera, stage, selector, Results(), spots=spots))
    assert booked == [1]


def test_a_scan_that_no_spot_can_take_is_refused_before_anything_moves(
    RE, camera, stage
):
    spots = Spots([Motor("x")], [(0.0,)], max_dose=1.0)
    plan = autonomous_xpcs(
        camera, stage, InOrder(make_shelf()), Results(), spots=spots, n_frames=1000
    )
    with pytest.raises(ConfigError, match="one scan of 10 s is a dose of 10"):
        RE(plan)
    assert stage.visited == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_failures": 0}, "max_failures >= 1"),
        ({"timeout": math.nan}, "timeout >= 0"),
        ({"n_frames": 0}, "n_frames >= 1"),
        ({"n_frames": 10.5}, "n_frames >= 1 and frame_time > 0, got 10.5"),
        (
            {"goal": AllLabelsSeen},
            r"such as AllLabelsSeen\(\) or .* got <class",
        ),
        ({"goal": "aging"}, "or a function of your own, got 'aging'"),
        ({"n_scans": -1}, "limits >= 0"),
        ({"campaign": "a/b"}, "name of a campaign"),
        ({"state_path": "state.json"}, "needs a selector that can be saved"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(series, stage, settings, message):
    with pytest.raises(ConfigError, match=message):
        series(InOrder(make_shelf()), Results(), **settings)
    assert stage.visited == []


def test_a_selector_may_raise_whatever_it_likes(series, stage, caplog):
    class Frail(InOrder):
        def ingest(self, observations):
            raise ZeroDivisionError("cannot fit a line to one point")

    series(Frail(make_shelf(2)), Results(default=summary()))
    assert stage.visited == ["s0", "s1"]
    assert "cannot fit a line" in caplog.text


def test_a_second_series_asks_for_the_results_of_the_first(series, stage):
    selector = NoveltySelector(make_shelf())
    results = Results(default=summary(), late={0})
    [uid] = series(selector, results, n_scans=1, timeout=0.0)
    assert selector.awaited_runs == {uid: stage.visited[0]}
    series(selector, results, n_scans=0)
    assert [seen.run_uid for seen in selector.observations] == [uid]
    assert selector.awaited_runs == {}


def test_a_candidate_that_drops_out_again_and_again_ends_the_series(RE, camera, stage):
    class Stubborn(InOrder):
        def suggest(self, n_suggestions=1):
            return [Suggestion(self.left[0], 1.0, "always the same")]

    spots = Spots([Motor("x")], [(0.0,)])
    RE(autonomous_xpcs(camera, stage, Stubborn(make_shelf()), Results(), spots=spots))
    assert camera.n_exposures == 1


def test_exhausted_samples_do_not_end_the_series_of_the_others(RE, camera, stage):
    spots = Spots([Motor("x")], [(0.0,)])
    spots.book(Dose("s0", (0.0,), 1.0, "earlier"))
    selector = StrategySelector(make_shelf(3), Coverage())
    results = Results(default=summary())
    RE(autonomous_xpcs(camera, stage, selector, results, spots=spots))
    assert sorted(stage.visited) == ["s1", "s2"]


def test_a_callback_that_fails_at_the_end_of_a_run_does_not_undo_it(RE, camera, stage):
    def fail(name, doc):
        raise RuntimeError("no room on the disk")

    RE.subscribe(fail, "stop")
    selector = NoveltySelector(make_shelf())
    with pytest.raises(RuntimeError, match="no room on the disk"):
        RE(autonomous_xpcs(camera, stage, selector, Results()))
    assert camera.n_exposures == 1
    assert list(selector.awaited_runs.values()) == stage.visited


def test_a_detector_that_cannot_be_unstaged_does_not_undo_the_run(RE, camera, stage):
    @AsyncStatus.wrap
    async def unstage():
        raise OSError("does not disarm")

    camera.unstage = unstage
    selector = NoveltySelector(make_shelf())
    with pytest.raises(FailedStatus):
        RE(autonomous_xpcs(camera, stage, selector, Results()))
    assert list(selector.awaited_runs.values()) == stage.visited


def test_a_label_is_not_waited_for_beyond_the_time_of_the_series(series):
    results = Results()
    budget = Budget(max_time=20.0)
    series(NoveltySelector(make_shelf()), results, n_scans=1, budget=budget, timeout=60)
    assert 0 < results.asked[0][1] <= 20.0


def test_a_goal_that_late_results_reach_ends_the_series(series, stage):
    refused = summary(label="invalid", probabilities={})
    selector = StrategySelector(make_shelf(2), Coverage())
    asked = []

    class AtLast(Results):
        async def wait(self, run_uid, timeout):
            asked.append(run_uid)
            answer = await super().wait(run_uid, timeout)
            return answer if timeout > 0 and asked.count(run_uid) > 1 else None

    # What was refused could be measured again, but the other one was wanted.
    results = AtLast(summary(), refused)
    series(selector, results, goal=LabelFound("aging"), timeout=0.1)
    assert len(stage.visited) == 2


def scans_of(plan):
    """Return the start documents of a dry run."""
    messages = RunEngineSimulator().simulate_plan(plan)
    return [message.kwargs for message in messages if message.command == "open_run"]


def test_a_dry_run_leaves_no_trace(tmp_path, camera, stage, series, documents):
    selector = NoveltySelector(make_shelf())
    path, before = tmp_path / "state.json", selector.state()
    for _ in range(3):
        [scan] = scans_of(
            autonomous_xpcs(camera, stage, selector, Results(), state_path=path)
        )
    assert selector.state() == before
    assert not path.exists()
    series(selector, Results(), n_scans=1, state_path=path, campaign="night")
    assert documents.start[0]["decision"] == scan["decision"]
    assert scan["decision"]["number"] == 0


def test_a_dry_run_shows_the_next_scan_of_the_campaign(
    tmp_path, camera, stage, series, documents
):
    path, results = tmp_path / "state.json", Results(default=summary())
    series(NoveltySelector(make_shelf()), results, n_scans=2, state_path=path)
    before, fresh = path.read_bytes(), NoveltySelector(make_shelf())
    [scan] = scans_of(autonomous_xpcs(camera, stage, fresh, results, state_path=path))
    assert path.read_bytes() == before
    assert fresh.observations == ()
    series(fresh, results, n_scans=3, state_path=path)
    assert documents.start[2]["decision"] == scan["decision"]


def test_a_dry_run_asks_a_selector_that_cannot_be_copied(camera, stage):
    selector = InOrder(make_shelf())
    [scan] = scans_of(autonomous_xpcs(camera, stage, selector, Results()))
    assert scan["sample"] == "s0"


class Hopeless(Results):
    """Knows of the first runs that no result will come of them."""

    def __init__(self, n_failed, **settings):
        super().__init__(*[None] * n_failed, default=summary(), **settings)
        self.n_failed = n_failed

    def has_failed(self, run_uid):
        return run_uid in list(self.by_run)[: self.n_failed]


REFUSED = summary(label="invalid", probabilities={})


@pytest.mark.parametrize(
    ("results", "n_times"),
    [
        (Hopeless(1), 1),
        (Results(summary(confidence=math.nan), default=summary()), 1),
        (Results(summary(label="unheard-of"), default=summary()), 1),
        (Results(REFUSED, default=summary()), 2),
    ],
    ids=["failed", "no number", "unknown label", "refused"],
)
def test_only_what_the_gate_refused_is_exposed_again(series, stage, results, n_times):
    selector = StrategySelector(
        make_shelf(3), Coverage(), settings=SelectorSettings(max_remeasures=1)
    )
    series(selector, results, timeout=0.0)
    assert stage.visited.count(stage.visited[0]) == n_times
    assert len(stage.visited) == 2 + n_times
    assert selector.pending == ()


@pytest.mark.parametrize(
    "results",
    [
        Hopeless(9),
        Results(default=summary(confidence=math.nan)),
        Results(default=summary(label="unheard-of")),
    ],
    ids=["failed", "no number", "unknown label"],
)
def test_a_broken_analysis_ends_the_series(series, stage, results):
    with pytest.raises(NoLabelsError, match="2 runs in a row gave no usable result"):
        series(NoveltySelector(make_shelf(9)), results, max_failures=2)
    assert len(stage.visited) == 2


def test_a_usable_result_begins_the_count_of_useless_ones_anew(series, stage):
    odd = summary(novelty=math.nan)
    answers = [odd, odd, summary(), odd, REFUSED, odd, odd]
    series(NoveltySelector(make_shelf(7)), Results(*answers), max_failures=3)
    assert len(stage.visited) == 7


def test_what_earlier_sessions_met_does_not_end_the_next_one(series, tmp_path):
    path, results = tmp_path / "state.json", Results(default=summary(label="odd"))
    for _ in range(2):
        with pytest.raises(NoLabelsError):
            series(NoveltySelector(make_shelf(9)), results, state_path=path)
    results.default = summary()
    selector = NoveltySelector(make_shelf(9))
    assert len(series(selector, results, state_path=path)) == 3
    assert list(selector.excluded.values()) == ["no usable result"] * 6


def test_a_late_result_of_what_was_given_up_is_learned(series, tmp_path):
    path, results = tmp_path / "state.json", Hopeless(1)
    [uid] = series(NoveltySelector(make_shelf(3)), results, n_scans=1, state_path=path)
    results.by_run[uid], results.n_failed = REFUSED, 0
    selector = NoveltySelector(make_shelf(3))
    series(selector, results, n_scans=1, state_path=path)
    assert [seen.run_uid for seen in selector.observations] == [uid]
    assert selector.excluded == {}


def test_what_a_person_excludes_is_not_scanned(series, stage):
    selector = NoveltySelector(make_shelf(3))
    selector.exclude("s1", "is broken")
    series(selector, Results(default=summary()))
    assert sorted(stage.visited) == ["s0", "s2"]


@pytest.mark.parametrize("results", [None, "http://127.0.0.1:8000"])
def test_what_knows_no_results_is_refused(series, stage, results):
    with pytest.raises(ConfigError, match=r"such as `ainerd\.follower`.* got"):
        series(NoveltySelector(make_shelf()), results)
    assert stage.visited == []


def test_a_goal_that_no_result_can_reach_is_refused(series, stage):
    with pytest.raises(ConfigError, match=r"asks for \['agin'\], which no result"):
        series(NoveltySelector(make_shelf()), Results(), goal=LabelFound("agin"))
    assert stage.visited == []


@pytest.mark.parametrize("key", ["campaign", "decision", "sample", "spot"])
def test_what_the_plan_says_cannot_be_said_otherwise(series, stage, key):
    with pytest.raises(ConfigError, match=f"md cannot say {key}"):
        series(NoveltySelector(make_shelf()), Results(), md={key: "mine"})
    assert stage.visited == []


def test_a_word_that_somebody_named_meanwhile_blinds_no_series(series, stage, caplog):
    named = {"probabilities": {"static": 0.18, "aging": 0.02, "foam": 0.8}}
    selector = StrategySelector(make_shelf(3), discovery())
    results = Results(
        summary(label="foam", model_label="static", **named),
        summary(label="static", probabilities={"static": 0.99, "foam": 0.0}),
        summary(label="foam", probabilities={"foam": 1.0}, model_label="aging"),
    )
    series(selector, results)
    assert len(stage.visited) == 3
    labels = [seen.label for seen in selector.observations]
    assert labels == ["static", "static", "aging"]
    assert selector.observations[0].confidence == pytest.approx(0.9)
    assert "is 'foam', a word that the selector was made without" in caplog.text
