import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest
from bluesky.utils import RunEngineInterrupted
from ophyd_async.core import AsyncStatus

from ainerd_bluesky.errors import ConfigError, SelectionError, StateInUseError
from ainerd_bluesky.plans import LabelFound, Spots, autonomous_xpcs
from ainerd_bluesky.plans.doses import Dose
from ainerd_bluesky.plans.resuming import open_campaign
from ainerd_bluesky.selection import (
    Candidate,
    Coverage,
    NoveltySelector,
    StrategySelector,
    replay,
)
from tests.unit.plans.conftest import Camera, Motor, Results, make_shelf, summary

MOMENTS = ["moving", "exposing", "waiting"]
N_SAMPLES = 4


class Witness:
    """Keeps a copy of the state file at each moment: what a crash would leave."""

    def __init__(self, path, camera, stage, results):
        self.path = path
        self.n_seen = {}
        self.exposed = {}
        self.camera = camera
        camera.during = lambda: self.keep("exposing")
        move, wait = stage.set, results.wait

        def moving(value):
            self.keep("moving")
            return move(value)

        async def waiting(run_uid, timeout):
            self.keep("waiting")
            return await wait(run_uid, timeout)

        stage.set, results.wait = moving, waiting

    def keep(self, moment):
        number = self.n_seen.setdefault(moment, 0)
        self.n_seen[moment] += 1
        copy = self.copy(moment, number)
        shutil.copy(self.path, copy)
        self.exposed[copy] = self.camera.n_exposures

    def copy(self, moment, number):
        return self.path.with_name(f"{moment}-{number}.json")


def make_spots():
    return Spots([Motor("x")], [(0.0,), (1.0,)])


@pytest.fixture
def series(RE):
    def run(path, camera, stage, selector, results, **settings):
        plan = autonomous_xpcs(
            camera, stage, selector, results, state_path=path, **settings
        )
        return RE(plan).plan_result

    return run


@pytest.mark.parametrize("number", range(N_SAMPLES))
@pytest.mark.parametrize("moment", MOMENTS)
def test_after_a_crash_at_any_moment_the_series_goes_on(
    tmp_path, series, moment, number
):
    camera, stage, results = Camera(), Motor("stage"), Results(default=summary())
    witness = Witness(tmp_path / "state.json", camera, stage, results)
    spots, selector = make_spots(), NoveltySelector(make_shelf(N_SAMPLES))
    series(witness.path, camera, stage, selector, results, spots=spots)
    visited = list(stage.visited)
    crashed = witness.copy(moment, number)
    n_exposed = witness.exposed[crashed]

    # Of the run that the crash cut short there is no result.
    again = Results(default=summary())
    again.by_run = {
        seen.run_uid: summary(novelty=0.7)
        for seen in selector.observations[: number + (moment == "waiting")]
    }
    asked = set(again.by_run)
    if moment == "exposing":
        again.by_run[selector.observations[number].run_uid] = None
    camera, stage = Camera(), Motor("stage")
    spots, resumed = make_spots(), NoveltySelector(make_shelf(N_SAMPLES))
    uids = series(crashed, camera, stage, resumed, again, spots=spots)

    assert sorted(visited[:n_exposed] + stage.visited) == sorted(visited)
    names = [seen.name for seen in resumed.observations]
    lost = {visited[number]} if moment == "exposing" else set()
    assert sorted(names) == sorted(set(visited) - lost)
    # Each exposure is booked once, whether it was before the crash or after it.
    assert len(spots.doses) == N_SAMPLES
    assert {dose.run_uid for dose in spots.doses} >= asked | set(uids)
    assert resumed.pending == ()


def test_a_crash_of_the_process_loses_nothing(tmp_path, series):
    path = tmp_path / "state.json"
    code = f"""
import os
from bluesky import RunEngine
from ainerd_bluesky.plans import autonomous_xpcs
from ainerd_bluesky.selection import NoveltySelector
from tests.unit.plans.conftest import Camera, Motor, Results, make_shelf, summary
camera = Camera()
camera.during = lambda: camera.n_exposures < 3 or os._exit(9)
RunEngine({{}})(autonomous_xpcs(
    camera, Motor("stage"), NoveltySelector(make_shelf({N_SAMPLES})),
    Results(summary(), None), state_path={str(path)!r},
))
"""
    died = subprocess.run([sys.executable, "-c", code], check=False)
    assert died.returncode == 9
    saved = json.loads(path.read_text())
    assert saved["n_scans"] == 3
    [missing] = saved["awaited"]
    results = Results(default=summary())
    results.by_run = {missing: summary(), saved["under_way"][1]: None}
    selector = NoveltySelector(make_shelf(N_SAMPLES))
    camera = Camera()
    series(path, camera, Motor("stage"), selector, results)
    assert camera.n_exposures == 1
    assert len(selector.observations) == 3


def test_results_that_came_meanwhile_are_learned_first(tmp_path, series):
    path, stage = tmp_path / "state.json", Motor("stage")
    [uid] = series(path, Camera(), stage, NoveltySelector(make_shelf()), Results(),
                   n_scans=1)  # fmt: skip
    results = Results()
    results.by_run = {uid: summary()}
    selector = NoveltySelector(make_shelf())
    goal = LabelFound("aging")
    assert series(path, Camera(), stage, selector, results, goal=goal) == []
    assert [seen.name for seen in selector.observations] == stage.visited


def test_the_budget_is_that_of_the_whole_series(tmp_path, series):
    path, results = tmp_path / "state.json", Results(default=summary())
    for n_scans, n_new in ((2, 2), (3, 1), (3, 0)):
        selector = NoveltySelector(make_shelf())
        uids = series(
            path, Camera(), Motor("stage"), selector, results, n_scans=n_scans
        )
        assert len(uids) == n_new


def test_the_same_selector_goes_on_as_well(tmp_path, series):
    path, results = tmp_path / "state.json", Results(default=summary())
    selector = NoveltySelector(make_shelf())
    for n_scans in (2, 4):
        series(path, Camera(), Motor("stage"), selector, results, n_scans=n_scans)
    assert len(selector.observations) == 4


def test_the_state_of_a_resumed_series_is_that_of_an_unbroken_one(tmp_path, series):
    states = []
    for steps in ([4], [1, 3, 4]):
        path = tmp_path / f"{len(steps)}.json"
        uids = []
        for n_scans in steps:
            selector = StrategySelector(make_shelf(9), Coverage())
            uids += series(path, Camera(), Motor("stage"), selector,
                           Results(default=summary()), n_scans=n_scans)  # fmt: skip
        events = json.dumps(selector.state()["events"])
        for number, uid in enumerate(uids):
            events = events.replace(uid, f"run {number}")
        states.append(events)
    assert states[0] == states[1]


def test_the_state_replays_to_the_decisions_of_the_runs(tmp_path, series, documents):
    path = tmp_path / "state.json"
    for n_scans in (2, 4):
        selector = NoveltySelector(make_shelf())
        series(path, Camera(), Motor("stage"), selector, Results(default=summary()),
               n_scans=n_scans)  # fmt: skip
    again = replay(json.loads(path.read_text())["selector"])
    assert [decision.as_json() for decision in again] == [
        start["decision"] for start in documents.start
    ]


class SlowToSave(NoveltySelector):
    """Takes as long for its first state as one with many results."""

    n_states = 0

    def state(self):
        self.n_states += 1
        time.sleep(0.3 if self.n_states == 1 else 0.0)
        return super().state()


def run_through_a_pause(RE, plan):
    threading.Timer(0.1, RE.request_pause).start()
    with pytest.raises(RunEngineInterrupted):
        RE(plan)
    return RE.resume()


@pytest.mark.parametrize("run", [lambda RE, plan: RE(plan), run_through_a_pause])
def test_opening_a_campaign_leaves_the_loop_free(tmp_path, RE, run):
    selector, ticks = SlowToSave(make_shelf()), []

    async def tick():
        while True:
            ticks.append(selector.n_states)
            await asyncio.sleep(0.01)

    clock = asyncio.run_coroutine_threadsafe(tick(), RE.loop)
    plan = autonomous_xpcs(
        Camera(), Motor("stage"), selector, Results(),
        state_path=tmp_path / "a.json", n_scans=1,
    )  # fmt: skip
    runs = run(RE, plan).plan_result
    clock.cancel()
    assert len(runs) == 1
    assert ticks.count(1) > 5


def test_two_plans_do_not_work_with_one_file(tmp_path, RE, series):
    path, camera = tmp_path / "night.json", Camera()
    errors = []

    def begin_another():
        plan = autonomous_xpcs(
            Camera(), Motor("stage"), NoveltySelector(make_shelf()), Results(),
            state_path=path,
        )  # fmt: skip
        with pytest.raises(StateInUseError, match=f"process {os.getpid()}") as error:
            next(iter(plan))
        errors.append(str(error.value))

    camera.during = begin_another
    for _ in range(2):
        selector = NoveltySelector(make_shelf())
        series(path, camera, Motor("stage"), selector, Results(default=summary()),
               n_scans=1)  # fmt: skip
    assert len(errors) == 1
    assert str(path) in errors[0]


def test_a_run_that_was_complete_before_the_crash_is_learned_however_late(
    tmp_path, RE, series
):
    path, copy = tmp_path / "state.json", tmp_path / "copy.json"
    RE.subscribe(lambda *_: shutil.copy(path, copy), "stop")
    results = Results(default=summary())
    [uid] = series(path, Camera(), Motor("stage"), NoveltySelector(make_shelf()),
                   results, n_scans=1)  # fmt: skip
    assert json.loads(copy.read_text())["under_way"][1] == uid
    path = copy.rename(tmp_path / "crashed.json")
    late = Results(default=summary(), late={0})
    selector = NoveltySelector(make_shelf())
    series(path, Camera(), Motor("stage"), selector, late, n_scans=2)
    assert late.asked[0][0] == uid
    assert uid in {seen.run_uid for seen in selector.observations}


def test_the_name_of_a_campaign_is_kept(tmp_path):
    selector = NoveltySelector(make_shelf())
    first = open_campaign(selector, path=tmp_path / "a.json")
    assert first.name
    assert open_campaign(selector, path=tmp_path / "a.json").name == first.name
    with pytest.raises(SelectionError, match=f"{first.name!r}, not 'gels'"):
        open_campaign(selector, name="gels", path=tmp_path / "a.json")


def test_doses_are_not_forgotten_by_leaving_out_the_spots(tmp_path, series):
    path, results = tmp_path / "state.json", Results(default=summary())
    selector = NoveltySelector(make_shelf())
    series(path, Camera(), Motor("stage"), selector, results, n_scans=1,
           spots=make_spots())  # fmt: skip
    with pytest.raises(ConfigError, match="booked 1 exposures of spots"):
        open_campaign(selector, path=path)


@pytest.mark.parametrize(
    "make",
    [
        lambda: NoveltySelector(make_shelf(7)),
        lambda: NoveltySelector(make_shelf(), random_state=1),
        lambda: StrategySelector(make_shelf(), Coverage()),
    ],
)
def test_the_state_of_another_selector_is_refused(tmp_path, make):
    open_campaign(NoveltySelector(make_shelf()), path=tmp_path / "a.json")
    with pytest.raises(SelectionError, match="of another selector"):
        open_campaign(make(), path=tmp_path / "a.json")


def test_a_selector_that_learned_something_else_is_refused(tmp_path, series):
    path, results = tmp_path / "state.json", Results(default=summary())
    series(path, Camera(), Motor("stage"), NoveltySelector(make_shelf()), results,
           n_scans=1)  # fmt: skip
    other = NoveltySelector(make_shelf())
    other.take("s3")
    with pytest.raises(SelectionError, match="of another selector"):
        open_campaign(other, path=path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no state can be read"),
        ("[]", "holds no state but a list"),
        ("{}", "no state of a campaign"),
        (
            '{"kind": "xpcs-campaign", "format_version": 99}',
            "no state of a campaign: it holds",
        ),
        (
            '{"kind": "xpcs-campaign", "format_version": 1, "campaign": "a"}',
            r"no whole state of a campaign: no \['n_scans'",
        ),
    ],
)
def test_a_file_that_is_no_state_is_refused_and_kept(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(SelectionError, match=message):
        open_campaign(NoveltySelector(make_shelf()), path=path)
    assert path.read_text() == text


def test_a_state_without_its_hash_is_refused(tmp_path):
    path = tmp_path / "a.json"
    open_campaign(NoveltySelector(make_shelf()), path=path)
    values = json.loads(path.read_text())
    del values["selector"]["state_hash"]
    path.write_text(json.dumps(values))
    with pytest.raises(SelectionError, match="changed after it was saved"):
        open_campaign(NoveltySelector(make_shelf()), path=path)


def test_a_state_that_was_changed_is_refused(tmp_path):
    path = tmp_path / "a.json"
    selector = NoveltySelector(make_shelf())
    selector.take("s1")
    open_campaign(selector, path=path)
    path.write_text(path.read_text().replace('"name": "s1", "strategy"',
                                             '"name": "s2", "strategy"'))  # fmt: skip
    with pytest.raises(SelectionError, match="changed after it was saved"):
        open_campaign(NoveltySelector(make_shelf()), path=path)


def test_no_exposure_without_its_booking_on_disk(tmp_path, RE, documents):
    folder = tmp_path / "gone"
    folder.mkdir()
    camera, stage = Camera(), Motor("stage")
    stage.set = lambda value, move=stage.set: (
        shutil.rmtree(folder, ignore_errors=True) or move(value)
    )
    plan = autonomous_xpcs(
        camera, stage, NoveltySelector(make_shelf()), Results(),
        state_path=folder / "state.json",
    )  # fmt: skip
    with pytest.raises(SelectionError, match="a state cannot be written"):
        RE(plan)
    assert camera.n_exposures == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_that_cannot_be_written_is_told_at_once(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SelectionError, match="cannot be written"):
        open_campaign(NoveltySelector(make_shelf()), path=tmp_path / "a.json")


def test_a_result_that_was_corrected_meanwhile_is_learned_by_the_next_session(
    tmp_path, series
):
    path, results = tmp_path / "state.json", Results(summary(label="unheard-of"))
    [uid] = series(path, Camera(), Motor("stage"), NoveltySelector(make_shelf()),
                   results, n_scans=1)  # fmt: skip
    assert [run_uid for run_uid, _ in results.asked] == [uid]
    results.by_run[uid] = summary()
    selector = NoveltySelector(make_shelf())
    series(path, Camera(), Motor("stage"), selector, results, n_scans=1)
    assert [seen.run_uid for seen in selector.observations] == [uid]


def test_a_result_that_cannot_be_used_is_not_asked_for_at_each_choice(tmp_path, series):
    results = Results(summary(label="unheard-of"), default=summary())
    [uid, *_] = series(
        tmp_path / "state.json", Camera(), Motor("stage"),
        NoveltySelector(make_shelf()), results, n_scans=3,
    )  # fmt: skip
    assert [run_uid for run_uid, _ in results.asked].count(uid) == 1


def pause_while_exposing(RE, camera, number):
    """Let the series pause at an exposure, after which it is over in a moment."""
    camera.seconds = 0.2

    def during():
        if camera.n_exposures == number:
            threading.Timer(0.05, RE.request_pause).start()

    camera.during = during


def test_what_a_person_takes_is_measured_next(tmp_path, RE, documents):
    path, camera, stage = tmp_path / "state.json", Camera(), Motor("stage")
    selector = StrategySelector(make_shelf(5), Coverage())
    pause_while_exposing(RE, camera, 1)
    plan = autonomous_xpcs(camera, stage, selector, Results(default=summary()),
                           state_path=path)  # fmt: skip
    with pytest.raises(RunEngineInterrupted):
        RE(plan)
    wanted = sorted({f"s{n}" for n in range(5)} - set(stage.visited))[:2]
    for name in reversed(wanted):
        selector.take(name)
    RE.resume()
    assert stage.visited[1:3] == wanted[::-1]
    assert sorted(stage.visited) == ["s0", "s1", "s2", "s3", "s4"]
    decisions = [start["decision"] for start in documents.start]
    assert [decision["strategy"] for decision in decisions[1:3]] == ["operator"] * 2
    assert decisions[1]["reason"].startswith(f"{wanted[1]}: the operator chose it")
    again = {decision.number: decision.as_json() for decision in
             replay(json.loads(path.read_text())["selector"])}  # fmt: skip
    assert [again[decision["number"]] for decision in decisions] == decisions


def test_what_a_person_took_is_measured_though_it_was_before(series, tmp_path):
    path, results = tmp_path / "state.json", Results(default=summary())
    stage, selector = Motor("stage"), NoveltySelector(make_shelf(2))
    series(path, Camera(), stage, selector, results)
    selector.take("s0")
    series(path, Camera(), stage, selector, results)
    assert stage.visited[2:] == ["s0"]
    assert [seen.name for seen in selector.observations][2:] == ["s0"]


class SlowMotor(Motor):
    """Takes so long to move that somebody may stop the series meanwhile."""

    @AsyncStatus.wrap
    async def set(self, value):
        await asyncio.sleep(0.5)
        self.visited.append(value)


@pytest.mark.parametrize("way_out", ["abort", "crash"])
def test_what_a_person_took_comes_first_after_an_interruption_too(
    tmp_path, RE, series, way_out
):
    path, crashed = tmp_path / "state.json", tmp_path / "crashed.json"
    selector, slow = NoveltySelector(make_shelf()), SlowMotor("stage")
    selector.take("s3")
    threading.Timer(0.1, RE.request_pause).start()
    with pytest.raises(RunEngineInterrupted):
        RE(autonomous_xpcs(Camera(), slow, selector, Results(), state_path=path))
    shutil.copy(path, crashed)
    RE.abort()
    assert slow.visited == []
    stage = Motor("stage")
    if way_out == "crash":
        path, selector = crashed, NoveltySelector(make_shelf())
    series(path, Camera(), stage, selector, Results(default=summary()), n_scans=1)
    assert stage.visited == ["s3"]


def test_after_a_crash_a_person_may_choose_as_well(tmp_path, series):
    path, results = tmp_path / "state.json", Results(default=summary())
    series(path, Camera(), Motor("stage"), NoveltySelector(make_shelf()), results,
           n_scans=2)  # fmt: skip
    selector, stage = NoveltySelector(make_shelf()), Motor("stage")
    assert series(path, Camera(), stage, selector, results, n_scans=0) == []
    wanted = selector.left[-1].name
    selector.take(wanted)
    series(path, Camera(), stage, selector, results, n_scans=3)
    assert stage.visited == [wanted]


def test_a_wish_may_be_taken_back(tmp_path, series):
    selector, stage = NoveltySelector(make_shelf()), Motor("stage")
    selector.take("s3")
    selector.release("s3", is_tried=False)
    first = NoveltySelector(make_shelf()).suggest()[0].candidate.name
    series(tmp_path / "state.json", Camera(), stage, selector, Results(), n_scans=1)
    assert stage.visited == [first]
    assert first != "s3"


GEL = [Candidate(f"gel at {n}", (float(n),), sample="gel") for n in range(4)]


def run_gel(series, path, n_spots, **settings):
    """Run a series of four conditions of one sample; return where its motor went."""
    x = Motor("x")
    spots = Spots([x], [(float(n),) for n in range(n_spots)])
    selector = StrategySelector(GEL, Coverage())
    series(path, Camera(), Motor("stage"), selector, Results(default=summary()),
           spots=spots, **settings)  # fmt: skip
    return x.visited


def test_what_dropped_out_is_back_when_there_are_more_spots(tmp_path, series):
    path = tmp_path / "state.json"
    assert run_gel(series, path, n_spots=1) == [0.0]
    assert run_gel(series, path, n_spots=3) == [1.0, 2.0]
    assert run_gel(series, path, n_spots=3) == []
    assert run_gel(series, path, n_spots=6) == [3.0]


def test_candidates_drop_out_once_and_without_a_decision(tmp_path, series, caplog):
    path = tmp_path / "state.json"
    for _ in range(2):
        run_gel(series, path, n_spots=1)
    state = json.loads(path.read_text())["selector"]
    assert len(replay(state)) == 1
    happened = [event["event"] for event in state["events"]]
    assert happened == ["suggest", "run", "observe", "exclude", "exclude", "exclude"]
    assert caplog.text.count("drop out: sample 'gel' has no fresh spot left") == 1


def test_without_spots_nothing_is_left_out(tmp_path, RE):
    selector, stage = StrategySelector(GEL, Coverage()), Motor("stage")
    results = Results(default=summary())
    spots = Spots([Motor("x")], [(0.0,)])
    RE(autonomous_xpcs(Camera(), stage, selector, results, spots=spots))
    RE(autonomous_xpcs(Camera(), stage, selector, results))
    assert sorted(stage.visited) == [candidate.name for candidate in GEL]


def test_what_a_person_takes_without_a_fresh_spot_drops_out(tmp_path, RE, caplog):
    selector, stage = StrategySelector(GEL, Coverage()), Motor("stage")
    spots = Spots([Motor("x")], [(0.0,)])
    spots.book(Dose("gel", (0.0,), 1.0, "earlier"))
    selector.take("gel at 2")
    RE(autonomous_xpcs(Camera(), stage, selector, Results(), spots=spots))
    assert stage.visited == []
    assert selector.pending == ()
    assert "candidate 'gel at 2' drops out: sample 'gel' has no fresh" in caplog.text


@pytest.mark.parametrize(
    "damage",
    [
        {"doses": [{"sample": "s0"}]},
        {"doses": [{"sample": "s0", "position": ["left"], "dose": 1, "run_uid": "a"}]},
        {"doses": None},
        {"n_scans": "many"},
        {"under_way": ["s0"] * 3},
        {"awaited": ["s0"]},
        {"selector": []},
    ],
    ids=str,
)
def test_a_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "a.json"
    open_campaign(NoveltySelector(make_shelf()), spots=make_spots(), path=path)
    text = json.dumps(json.loads(path.read_text()) | damage)
    path.write_text(text)
    with pytest.raises(SelectionError, match=r"a\.json is damaged \(.*put back a copy"):
        open_campaign(NoveltySelector(make_shelf()), spots=make_spots(), path=path)
    assert path.read_text() == text
