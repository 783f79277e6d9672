import asyncio
import threading
import time

import h5py
import hdf5plugin  # noqa: F401 registers the compression
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky.utils import FailedStatus, RunEngineInterrupted
from ophyd_async.core import StaticFilenameProvider, StaticPathProvider, TriggerInfo
from ophyd_async.plan_stubs import ensure_connected

from ainerd_bluesky.devices import SampleStage, SimulatedXPCSDetector
from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.plans import xpcs_scan
from ainerd_bluesky.xpcs.simulate.samples import sample_library

SHAPE = (16, 20)


@pytest.fixture
def RE():
    return RunEngine({}, call_returns_result=False)


@pytest.fixture
def stage(RE):
    shelf = sample_library(2)
    stage = SampleStage({"one": shelf[0], "two": shelf[1]}, name="stage")
    RE(ensure_connected(stage))
    return stage


def count(n_frames):
    """Frames that say which one they are."""
    frame = np.arange(n_frames, dtype=np.uint16)[:, None, None]
    return np.broadcast_to(frame, (n_frames, *SHAPE))


@pytest.fixture
def make_detector(RE, tmp_path):
    def make(simulate=count):
        files = StaticPathProvider(StaticFilenameProvider("frames"), tmp_path / "a")
        detector = SimulatedXPCSDetector(files, simulate, SHAPE, name="eiger")
        RE(ensure_connected(detector))
        return detector

    return make


@pytest.fixture
def documents(RE):
    documents = {}
    RE.subscribe(lambda name, doc: documents.setdefault(name, []).append(doc))
    return documents


def test_a_scan_writes_one_file_with_a_frame_a_chunk(
    RE, make_detector, stage, documents, tmp_path
):
    RE(xpcs_scan(make_detector(), stage, "two", n_frames=100, frame_time=1e-3))
    with h5py.File(tmp_path / "a" / "frames.h5", "r", swmr=True) as file:
        frames = file["/entry/data/data"]
        assert (frames.dtype, frames.chunks) == (np.uint16, (1, *SHAPE))
        assert "32008" in frames._filters
        np.testing.assert_array_equal(frames, count(100))
    [resource] = documents["stream_resource"]
    assert resource["uri"].endswith("/a/frames.h5")
    assert resource["parameters"]["dataset"] == "/entry/data/data"
    [datum] = documents["stream_datum"]
    assert datum["indices"] == {"start": 0, "stop": 1}


def test_the_documents_say_what_was_measured_and_how(
    RE, make_detector, stage, documents
):
    RE(
        xpcs_scan(
            make_detector(),
            stage,
            "two",
            n_frames=50,
            frame_time=0.02,
            md={"who": "me"},
        )
    )
    [start], [descriptor], [event] = (
        documents[name] for name in ("start", "descriptor", "event")
    )
    assert (start["technique"], start["sample"], start["who"]) == ("XPCS", "two", "me")
    assert (start["frame_time"], start["n_frames"]) == (0.02, 50)
    assert descriptor["data_keys"]["eiger"]["shape"] == [50, *SHAPE]
    configuration = descriptor["configuration"]["eiger"]["data"]
    assert configuration["eiger-acquire_period"] == pytest.approx(0.02)
    assert configuration["eiger-acquire_time"] == pytest.approx(0.018)
    assert event["data"]["stage-sample"] == "two"


def test_a_second_scan_opens_another_file(RE, make_detector, stage, documents):
    detector = make_detector()
    for n_frames in (10, 20):
        RE(xpcs_scan(detector, stage, "one", n_frames=n_frames))
    uids = [resource["uid"] for resource in documents["stream_resource"]]
    assert len(set(uids)) == 2


def test_the_simulation_does_not_hold_up_the_loop(RE, make_detector, stage):
    threads = []

    def simulate(n_frames):
        threads.append(threading.current_thread())
        time.sleep(0.5)
        return count(n_frames)

    gaps = []

    async def tick():
        for _ in range(20):
            before = time.monotonic()
            await asyncio.sleep(0.02)
            gaps.append(time.monotonic() - before)

    detector = make_detector(simulate)

    def plan():
        yield from bps.stage(detector)
        info = TriggerInfo(collections_per_event=5)
        yield from bps.prepare(detector, info, wait=True)
        yield from bps.trigger(detector, group="frames")
        yield from bps.wait_for([tick])
        yield from bps.wait("frames")
        yield from bps.unstage(detector)

    RE(plan())
    assert threads[0] is not RE._th
    assert max(gaps) < 0.3


def test_a_failing_simulation_fails_the_scan_and_the_next_one_works(
    RE, make_detector, stage, documents
):
    broken = [True]

    def simulate(n_frames):
        if broken.pop():
            raise MemoryError("no room for frames")
        return count(n_frames)

    detector = make_detector(simulate)
    broken.insert(0, False)
    with pytest.raises(FailedStatus):
        RE(xpcs_scan(detector, stage, "one", n_frames=10))
    assert documents["stop"][0]["exit_status"] == "fail"
    RE(xpcs_scan(detector, stage, "one", n_frames=10))
    assert documents["stop"][1]["exit_status"] == "success"


def test_an_abort_while_exposing_closes_the_file(
    RE, make_detector, stage, documents, tmp_path
):
    def simulate(n_frames):
        threading.Timer(0.1, RE.request_pause).start()
        time.sleep(0.6)
        return count(n_frames)

    detector = make_detector(simulate)
    with pytest.raises(RunEngineInterrupted):
        RE(xpcs_scan(detector, stage, "one", n_frames=200))
    RE.abort("seen enough")
    assert documents["stop"][0]["exit_status"] == "abort"
    with h5py.File(tmp_path / "a" / "frames.h5", "r") as file:
        assert file["/entry/data/data"].shape[1:] == SHAPE


def test_a_pause_while_exposing_leaves_the_frames_of_one_exposure(
    RE, make_detector, stage, documents, tmp_path
):
    def simulate(n_frames):
        threading.Timer(0.1, RE.request_pause).start()
        time.sleep(0.4)
        return count(n_frames)

    detector = make_detector(simulate)
    with pytest.raises(RunEngineInterrupted):
        RE(xpcs_scan(detector, stage, "one", n_frames=200))
    RE.resume()
    assert documents["stop"][0]["exit_status"] == "success"
    [datum] = documents["stream_datum"]
    assert datum["indices"] == {"start": 0, "stop": 1}
    with h5py.File(tmp_path / "a" / "frames.h5", "r") as file:
        np.testing.assert_array_equal(file["/entry/data/data"], count(200))


def test_a_sample_that_is_not_mounted_is_named(RE, make_detector, stage):
    with pytest.raises(FailedStatus) as error:
        RE(xpcs_scan(make_detector(), stage, "three"))
    assert isinstance(error.value.__cause__, ConfigError)
    assert "no sample 'three' on the stage; it holds one, two" in str(
        error.value.__cause__
    )


def test_the_stage_knows_what_is_in_the_beam(RE, stage):
    RE(bps.mv(stage, "two"))
    assert stage.current is stage.samples["two"]


def test_the_stage_moves_inside_a_sample_and_says_where(
    RE, make_detector, stage, documents
):
    RE(bps.mv(stage.x, 0.25, stage.y, -0.5))
    RE(xpcs_scan(make_detector(), stage, "one", n_frames=5))
    data = documents["event"][0]["data"]
    assert (data["stage-x"], data["stage-y"]) == (0.25, -0.5)


def test_an_empty_stage_is_refused():
    with pytest.raises(ConfigError, match="at least one sample"):
        SampleStage({})
