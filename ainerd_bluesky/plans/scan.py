"""One scan of one sample."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any, Protocol, TypedDict

from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.protocols import Movable, Preparable, Readable, Status, Triggerable
from bluesky.utils import (
    MsgGenerator,
    RequestAbort,
    RequestStop,
    RunEngineControlException,
    separate_devices,
)
from ophyd_async.core import TriggerInfo

from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.selection.protocols import as_number

__all__ = [
    "Book",
    "Detector",
    "Exposure",
    "ScanSettings",
    "record_frames",
    "start_document",
    "xpcs_scan",
]

_EXPOSED_FRACTION = 0.9
_EXPOSURE_PATIENCE = 120.0
_N_FRAMES = 512
_FRAME_TIME = 0.01


class Detector(Readable[Any], Preparable, Triggerable, Protocol):
    """A detector of ophyd-async that takes several frames for one event."""


class Book(Protocol):
    """Keeps account of exposures."""

    def begin(self, run_uid: str) -> None:
        """Note an exposure before it begins; an error prevents it."""
        ...

    def end(self) -> None:
        """Note that the run of the exposure was closed, and well."""
        ...


class ScanSettings(TypedDict, total=False):
    """What `xpcs_scan` can be told beyond the sample."""

    n_frames: int
    frame_time: float
    md: Mapping[str, Any]


@dataclass(frozen=True)
class Exposure:
    """One series of frames.

    Parameters
    ----------
    n_frames : int
        Frames of the series.
    frame_time : float
        Start-to-start time of frames, in seconds.

    Raises
    ------
    ConfigError
        If one of them cannot be used.
    """

    n_frames: int = _N_FRAMES
    frame_time: float = _FRAME_TIME

    def __post_init__(self) -> None:
        if not (_is_count(self.n_frames) and as_number(self.frame_time) > 0):
            raise ConfigError(
                "need a whole number n_frames >= 1 and frame_time > 0, got "
                f"{self.n_frames!r} and {self.frame_time!r}"
            )

    @property
    def seconds(self) -> float:
        """Time of beam on the sample."""
        return self.n_frames * self.frame_time

    @property
    def trigger_info(self) -> TriggerInfo:
        """The series in the terms of ophyd-async."""
        return TriggerInfo(
            livetime=_EXPOSED_FRACTION * self.frame_time,
            deadtime=(1 - _EXPOSED_FRACTION) * self.frame_time,
            collections_per_event=self.n_frames,
            exposure_timeout=self.seconds + _EXPOSURE_PATIENCE,
        )


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and int(value) >= 1


def xpcs_scan(
    detector: Detector,
    stage: Movable[str],
    sample: str,
    *,
    n_frames: int = _N_FRAMES,
    frame_time: float = _FRAME_TIME,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Move to a sample and record one series of frames.

    A pause during the exposure lets it end; it is not begun again on resume.

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
    """
    exposure = Exposure(n_frames, frame_time)
    start = start_document(detector, stage, sample, exposure) | dict(md or {})

    yield from bps.mv(stage, sample)
    run_uid = yield from record_frames(detector, [stage], exposure, start)
    return run_uid


def start_document(
    detector: Detector, stage: Movable[str], sample: str, exposure: Exposure
) -> dict[str, Any]:
    """Return what the start document of a scan says.

    Parameters
    ----------
    detector : Detector
        Detector of ophyd-async.
    stage : Movable
        Sample stage.
    sample : str
        Name of the sample.
    exposure : Exposure
        The series of frames.

    Returns
    -------
    dict
        Plan, detectors, technique, sample and series.
    """
    asked = {
        "sample": sample,
        "n_frames": exposure.n_frames,
        "frame_time": exposure.frame_time,
    }
    names = {"detector": detector.name, "stage": getattr(stage, "name", repr(stage))}
    return {
        "plan_name": "xpcs_scan",
        "plan_args": {**names, **asked},
        "detectors": [detector.name],
        "technique": "XPCS",
        **asked,
    }


def record_frames(
    detector: Detector,
    others: Sequence[Any],
    exposure: Exposure,
    start: Mapping[str, Any],
    book: Book | None = None,
) -> MsgGenerator[str]:
    """Record one series of frames in a run of its own, wherever the stage stands.

    Parameters
    ----------
    detector : Detector
        Detector of ophyd-async.
    others : sequence of device
        Read along with the detector.
    exposure : Exposure
        The series of frames.
    start : mapping
        For the start document.
    book : Book, optional
        Told of the exposure before it begins, and of the end of the run.

    Yields
    ------
    msg : Msg
        Plan messages.

    Returns
    -------
    str
        Uid of the run; empty in a dry run, where nothing opens runs or exposes, and
        nothing is booked.
    """

    def record(run_uid: str) -> MsgGenerator[None]:
        camera = _Once(detector, partial(book.begin, run_uid) if book else _nothing)
        yield from bps.prepare(detector, exposure.trigger_info, wait=True)
        # On resume after a pause all messages since here are repeated.
        yield from bps.checkpoint()
        yield from _trigger_and_read(camera, [detector, *others])

    def close(run_uid: str) -> MsgGenerator[None]:
        end = book.end if book is not None and run_uid else _nothing
        try:
            yield from bps.close_run()
        except RunEngineControlException:
            raise
        except Exception:
            # A callback that fails at the stop document does not undo the run.
            end()
            raise
        end()
        yield from bps.checkpoint()

    def run() -> MsgGenerator[str]:
        run_uid: str = (yield from bps.open_run(dict(start))) or ""
        # Bluesky's wrappers have no types.
        yield from bpp.contingency_wrapper(  # type: ignore[no-untyped-call]
            record(run_uid),
            except_plan=_close_failed,
            else_plan=partial(close, run_uid),
        )
        return run_uid

    staged = bpp.stage_wrapper(run(), [detector])  # type: ignore[no-untyped-call]
    run_uid: str = yield from staged
    return run_uid


class _Once:
    """A detector that exposes once, however often the RunEngine triggers it.

    Parameters
    ----------
    detector : Detector
        The detector.
    before : callable
        Called before the exposure; an error in it prevents the exposure.
    """

    parent = None

    def __init__(self, detector: Detector, before: Callable[[], None]) -> None:
        self.name = detector.name
        self._detector = detector
        self._before = before
        self._status: Status | None = None

    def trigger(self) -> Status:
        """Return the status of the exposure, which the first call begins."""
        if self._status is None:
            self._before()
            self._status = self._detector.trigger()
        return self._status


def _trigger_and_read(camera: _Once, devices: Sequence[Any]) -> MsgGenerator[None]:
    group = f"frames-{uuid.uuid4().hex[:8]}"
    yield from bps.trigger(camera, group=group)
    for device in devices[1:]:
        if isinstance(device, Triggerable):
            yield from bps.trigger(device, group=group)
    yield from bps.wait(group)
    yield from bps.create()
    yield from bpp.contingency_wrapper(  # type: ignore[no-untyped-call]
        _read(devices), except_plan=_drop, else_plan=bps.save
    )


def _read(devices: Sequence[Any]) -> MsgGenerator[None]:
    for device in separate_devices(devices):  # type: ignore[no-untyped-call]
        yield from bps.read(device)


def _drop(_: Exception) -> MsgGenerator[None]:
    yield from bps.drop()


def _close_failed(error: Exception) -> MsgGenerator[None]:
    """Close a run as Bluesky's own wrapper does."""
    if isinstance(error, RequestAbort | RequestStop):
        yield from bps.close_run(exit_status=error.exit_status)
    else:
        yield from bps.close_run(exit_status="fail", reason=str(error))


def _nothing() -> None:
    """Book nothing."""
