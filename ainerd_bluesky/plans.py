"""Plans for XPCS: one scan of one sample, and a series that chooses for itself."""

import logging
from collections.abc import Mapping
from typing import Any, Protocol, TypedDict, Unpack

from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.protocols import Movable, Preparable, Readable
from bluesky.utils import MsgGenerator
from ophyd_async.core import TriggerInfo

from ainerd_bluesky.errors import AinerdError, ConfigError
from ainerd_bluesky.selection.protocols import Observation, Results, Selector

__all__ = ["autonomous_xpcs", "wait_for_label", "xpcs_scan"]

logger = logging.getLogger(__name__)

_EXPOSED_FRACTION = 0.9
_EXPOSURE_PATIENCE = 120.0


class Detector(Readable[Any], Preparable, Protocol):
    """A detector of ophyd-async that takes several frames for one event."""


class ScanSettings(TypedDict, total=False):
    """What `xpcs_scan` can be told beyond the sample."""

    n_frames: int
    frame_time: float
    md: Mapping[str, Any]


def xpcs_scan(
    detector: Detector,
    stage: Movable[str],
    sample: str,
    *,
    n_frames: int = 512,
    frame_time: float = 0.01,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Move to a sample and record one series of frames.

    Parameters
    ----------
    detector : Detector
        Detector of ophyd-async.
    stage : Movable
        Brings a sample into the beam by its name.
    sample : str
        Name of the sample.
    n_frames : int, optional
        Frames of the series.
    frame_time : float, optional
        Start-to-start time of frames, in seconds.
    md : mapping, optional
        More for the start document; what it says goes before what the plan says.

    Yields
    ------
    msg : Msg
        Plan messages.

    Returns
    -------
    str
        Uid of the run.

    Raises
    ------
    ConfigError
        If the number of frames or the frame time cannot be used.
    """
    if n_frames < 1 or not frame_time > 0:
        raise ConfigError(
            f"need n_frames >= 1 and frame_time > 0, got {n_frames} and {frame_time}"
        )

    frames = TriggerInfo(
        livetime=_EXPOSED_FRACTION * frame_time,
        deadtime=(1 - _EXPOSED_FRACTION) * frame_time,
        collections_per_event=n_frames,
        exposure_timeout=n_frames * frame_time + _EXPOSURE_PATIENCE,
    )
    asked = {"sample": sample, "n_frames": n_frames, "frame_time": frame_time}
    names = {"detector": detector.name, "stage": getattr(stage, "name", repr(stage))}
    start = {
        "plan_name": "xpcs_scan",
        "plan_args": {**names, **asked},
        "detectors": [detector.name],
        "technique": "XPCS",
        **asked,
        **(md or {}),
    }

    def record() -> MsgGenerator[None]:
        yield from bps.prepare(detector, frames, wait=True)
        yield from bps.trigger_and_read([detector, stage])

    yield from bps.mv(stage, sample)
    # Bluesky's wrappers have no types.
    run = bpp.run_wrapper(record(), md=start)  # type: ignore[no-untyped-call]
    staged = bpp.stage_wrapper(run, [detector])  # type: ignore[no-untyped-call]
    run_uid: str = yield from staged
    return run_uid


def wait_for_label(
    results: Results, run_uid: str, timeout: float
) -> MsgGenerator[dict[str, Any] | None]:
    """Wait for the result of a run while the RunEngine's loop goes on.

    Parameters
    ----------
    results : Results
        Knows the results, such as a `ResultFollower`.
    run_uid : str
        Uid of the run.
    timeout : float
        Longest wait, in seconds.

    Yields
    ------
    msg : Msg
        Plan messages.

    Returns
    -------
    dict or None
        Summary of the result; None if there is none in time.
    """
    (future,) = yield from bps.wait_for([lambda: results.wait(run_uid, timeout)])
    summary: dict[str, Any] | None = future.result()
    return summary


def autonomous_xpcs(
    detector: Detector,
    stage: Movable[str],
    selector: Selector,
    results: Results,
    *,
    n_scans: int,
    timeout: float = 60.0,
    **scan_settings: Unpack[ScanSettings],
) -> MsgGenerator[list[str]]:
    """Let a selector choose sample after sample by what it learned so far.

    A run without a label in time, or with one that the selector cannot use, teaches
    nothing, and the series goes on: its sample is not suggested again. The series ends
    early when no candidate is left.

    Parameters
    ----------
    detector : Detector
        Detector of ophyd-async.
    stage : Movable
        Brings a sample into the beam by its name.
    selector : Selector
        Chooses; told of each label.
    results : Results
        Knows the labels, such as a `ResultFollower`.
    n_scans : int
        Most scans of the series.
    timeout : float, optional
        Longest wait for one label, in seconds.
    **scan_settings : optional
        For each `xpcs_scan`: ``n_frames``, ``frame_time``, ``md``.

    Yields
    ------
    msg : Msg
        Plan messages.

    Returns
    -------
    list of str
        Uids of the runs.
    """
    run_uids: list[str] = []
    for _ in range(n_scans):
        suggestions = selector.suggest(1)
        if not suggestions:
            break
        sample = suggestions[0].candidate.name
        run_uid = yield from xpcs_scan(detector, stage, sample, **scan_settings)
        run_uids.append(run_uid)
        summary = yield from wait_for_label(results, run_uid, timeout)
        if summary is not None:
            _teach(selector, sample, summary)
    return run_uids


def _teach(selector: Selector, sample: str, summary: Mapping[str, Any]) -> None:
    """Tell the selector of a result; one that it cannot use is logged."""
    try:
        selector.ingest([Observation.from_summary(sample, summary)])
    except AinerdError as error:
        logger.warning("nothing is learned of sample %r: %s", sample, error)
