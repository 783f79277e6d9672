"""The beam monitor of a run, one number a frame."""

import numpy as np
from numpy.typing import NDArray
from tiled.client.container import Container

from ainerd_bluesky.config import BeamlineConfig
from ainerd_bluesky.errors import FrameStackError, UnsuitableRunError

__all__ = ["read_monitor"]

Floats = NDArray[np.float64]


def read_monitor(
    run: Container, n_frames: int, config: BeamlineConfig
) -> Floats | None:
    """Read the beam monitor of a run, where its frames are normalised by it.

    Parameters
    ----------
    run : Container
        The run.
    n_frames : int
        Frames of its detector.
    config : BeamlineConfig
        Names the data key and the stream.

    Returns
    -------
    ndarray of float64, shape (n_frames,), or None
        A single number of the run stands for each of its frames; a frame at 0 or less
        had no beam. None where no field is configured or another normalisation is.

    Raises
    ------
    FrameStackError
        If it has another number of values than the run has frames, one of them is not
        finite, or too few of them are above 0.

    Notes
    -----
    A run without such a field, or with no numbers in it, is an `UnsuitableRunError`.
    """
    field = config.detector.monitor_field
    if field is None or config.correlation.normalisation != "monitor":
        return None
    name = f"monitor {field!r} of run {run.metadata['start']['uid']}"
    values = _values(run, field, name, config.detector.stream)
    if values.size not in {1, n_frames}:
        raise FrameStackError(f"{name} has {values.size} values for {n_frames} frames")
    values = np.broadcast_to(values.reshape(-1), n_frames)
    _check(values, name, config.quality.max_dark_fraction)
    return values


def _values(run: Container, field: str, name: str, stream: str) -> Floats:
    """Return all values of the run, event after event."""
    try:
        values = np.asarray(run[f"{stream}/{field}"].read())
    except KeyError as error:
        raise UnsuitableRunError(
            f"{name} is not in stream {stream!r}, only {sorted(run[stream])}: correct "
            "detector.monitor_field"
        ) from error
    if values.dtype.kind not in "biuf":
        raise UnsuitableRunError(f"{name} holds no numbers but {values.dtype}")
    return values.astype(np.float64)


def _check(values: Floats, name: str, max_dark_fraction: float) -> None:
    n_frames, n_unknown = len(values), int((~np.isfinite(values)).sum())
    if n_unknown > 0:
        first = int(np.argmin(np.isfinite(values)))
        raise FrameStackError(
            f"{name} is not finite in {n_unknown} of {n_frames} frames, the first is "
            f"{first}"
        )
    n_dark = int((values <= 0).sum())
    if n_dark > max_dark_fraction * n_frames:
        raise FrameStackError(
            f"{name} is not above 0 in {n_dark} of {n_frames} frames, at most "
            f"{100 * max_dark_fraction:g} % may be without beam"
        )
