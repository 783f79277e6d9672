import threading

import pytest
from bluesky.simulators import RunEngineSimulator, summarize_plan
from bluesky.utils import FailedStatus, RunEngineInterrupted
from ophyd_async.core import Device

from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.plans import xpcs_scan


@pytest.mark.parametrize(
    ("n_frames", "frame_time"),
    [
        (0, 0.1),
        (10.5, 0.1),
        ("10", 0.1),
        (10, 0.0),
        (10, -1.0),
        (10, float("nan")),
        (10, float("inf")),
        (10, None),
    ],
    ids=str,
)
def test_a_scan_that_cannot_be_is_refused_before_it_starts(n_frames, frame_time):
    with pytest.raises(ConfigError, match=f"got {n_frames!r} and {frame_time}"):
        summarize_plan(
            xpcs_scan(None, None, "a", n_frames=n_frames, frame_time=frame_time)
        )


def test_the_technique_of_a_scan_can_be_another():
    detector, stage = Device(name="eiger"), Device(name="stage")
    scan = xpcs_scan(detector, stage, "a", md={"technique": "SAXS"})
    messages = RunEngineSimulator().simulate_plan(scan)
    [opened] = [message for message in messages if message.command == "open_run"]
    assert opened.kwargs["technique"] == "SAXS"
    assert opened.kwargs["sample"] == "a"


def test_a_scan_is_one_event_of_one_run(RE, camera, stage, documents):
    result = RE(xpcs_scan(camera, stage, "gel", n_frames=10))
    assert result.plan_result == documents.start[0]["uid"]
    [event] = documents.event
    assert event["data"] == {"eiger": 0.0, "stage": "gel"}
    assert documents.stop[0]["exit_status"] == "success"


def test_a_pause_lets_the_exposure_end_and_does_not_repeat_it(
    RE, camera, stage, documents
):
    camera.seconds = 0.3
    camera.during = lambda: threading.Timer(0.05, RE.request_pause).start()
    with pytest.raises(RunEngineInterrupted):
        RE(xpcs_scan(camera, stage, "gel", n_frames=10))
    RE.resume()
    assert (camera.n_prepared, camera.n_exposures) == (1, 1)
    assert len(documents.event) == 1
    assert documents.stop[0]["exit_status"] == "success"


def test_an_exposure_that_fails_while_paused_fails_the_run(
    RE, camera, stage, documents
):
    camera.seconds, camera.broken = 0.2, [True]
    camera.during = lambda: threading.Timer(0.05, RE.request_pause).start()
    with pytest.raises(RunEngineInterrupted):
        RE(xpcs_scan(camera, stage, "gel", n_frames=10))
    threading.Event().wait(0.3)
    with pytest.raises(FailedStatus):
        RE.resume()
    assert documents.stop[0]["exit_status"] == "fail"
    assert camera.n_exposures == 1
