import logging

import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import FailedStatus

from ainerd_bluesky.callbacks.outbox import Outbox
from ainerd_bluesky.callbacks.trigger import RunStopTrigger


@pytest.fixture
def outbox(tmp_path):
    return Outbox(tmp_path)


def documents(uid, *, technique="XPCS", exit_status="success", **start):
    yield "start", {"uid": uid, "technique": technique, "scan_id": 7, **start}
    yield "descriptor", {"uid": "d", "run_start": uid}
    yield "stop", {"run_start": uid, "time": 5.0, "exit_status": exit_status}


def feed(trigger, docs):
    for name, doc in docs:
        trigger(name, doc)


def test_a_finished_run_becomes_one_job(outbox):
    trigger = RunStopTrigger(outbox, "XPCS")
    feed(trigger, documents("a", sample="lupolen"))
    feed(trigger, documents("a", sample="lupolen"))
    assert outbox.counts()["new"] == 1
    assert outbox.job("a").payload == {
        "scan_id": 7,
        "sample": "lupolen",
        "stop_time": 5.0,
        "exit_status": "success",
        "reason": "",
    }


@pytest.mark.parametrize("technique", ["SAXS", None, ["XPCS"]])
def test_a_run_of_another_technique_is_left_alone(outbox, technique):
    feed(RunStopTrigger(outbox, "XPCS"), documents("a", technique=technique))
    assert sum(outbox.counts().values()) == 0


@pytest.mark.parametrize("exit_status", ["abort", "fail"])
def test_an_aborted_run_is_queued_with_its_exit_status(outbox, exit_status):
    feed(RunStopTrigger(outbox, "XPCS"), documents("a", exit_status=exit_status))
    assert outbox.job("a").payload["exit_status"] == exit_status


@pytest.mark.parametrize(
    ("sample", "name"),
    [({"name": "silica", "temperature": 3}, "silica"), ("silica", "silica"), (5, "5")],
)
def test_a_sample_is_known_by_its_name(outbox, sample, name):
    feed(RunStopTrigger(outbox, "XPCS"), documents("a", sample=sample))
    assert outbox.job("a").payload["sample"] == name


def test_runs_that_never_stop_do_not_pile_up(outbox):
    trigger = RunStopTrigger(outbox, "XPCS")
    for n in range(1000):
        feed(trigger, list(documents(f"run-{n}"))[:1])
    assert len(trigger._starts) == 100


def test_interleaved_runs_are_told_apart(outbox):
    trigger = RunStopTrigger(outbox, "XPCS")
    first, second = list(documents("a")), list(documents("b", technique="SAXS"))
    feed(trigger, [first[0], second[0], second[2], first[2]])
    assert outbox.state("a") == "new"
    assert outbox.state("b") is None


def test_a_full_disk_does_not_stop_the_run_engine(caplog):
    class FullDisk:
        def put(self, run_uid, payload):
            raise OSError(28, "No space left on device")

    RE = RunEngine({}, call_returns_result=False)
    RE.subscribe(RunStopTrigger(FullDisk(), "XPCS"))

    @bpp.run_decorator(md={"technique": "XPCS"})
    def plan():
        yield from bps.null()

    with caplog.at_level(logging.ERROR):
        assert len(RE(plan())) == 1
    assert "No space left on device" in caplog.text


def test_a_failed_plan_is_queued_by_a_real_run_engine(outbox):
    queued = []
    RE = RunEngine({}, call_returns_result=False)
    trigger = RunStopTrigger(outbox, "XPCS", on_queued=lambda *job: queued.append(job))
    RE.subscribe(trigger)

    @bpp.run_decorator(md={"technique": "XPCS"})
    def plan():
        yield from bps.null()
        raise FailedStatus("shutter stuck")

    with pytest.raises(FailedStatus):
        RE(plan())
    [(uid, payload)] = queued
    assert payload["exit_status"] == "fail"
    assert "shutter stuck" in payload["reason"]
    assert outbox.state(uid) == "new"


@pytest.mark.parametrize("doc", [{}, {"run_start": "a"}, {"uid": 3}])
@pytest.mark.parametrize("name", ["start", "stop", "event"])
def test_odd_documents_are_survived(outbox, name, doc):
    RunStopTrigger(outbox, "XPCS")(name, doc)
    assert sum(outbox.counts().values()) == 0
