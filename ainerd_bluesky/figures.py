"""Pictures of two-time maps."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from ainerd_bluesky.errors import TwoTimeError

__all__ = ["draw_two_time", "draw_two_time_gallery"]

_PANEL_INCHES = 2.4
_MAX_PIXELS = 512


def draw_two_time(
    two_time: NDArray[Any], *, title: str = "", frame_time: float | None = None
) -> bytes:
    """Draw one two-time map with its colour scale.

    Parameters
    ----------
    two_time : ndarray of shape (n_frames, n_frames)
        The map; nan is drawn grey.
    title : str
        Text above the map.
    frame_time : float, optional
        Start-to-start time of frames in seconds; axes are in frames without it.

    Returns
    -------
    bytes
        A PNG picture, origin upper left.
    """
    figure = Figure(figsize=(4.6, 4.0), layout="constrained")
    axes = figure.subplots()
    image = _draw_map(axes, two_time, frame_time)
    axes.set_title(title)
    figure.colorbar(image, ax=axes, label="C(t1, t2)")
    return _png(figure)


def draw_two_time_gallery(
    maps: Sequence[NDArray[Any]],
    titles: Sequence[str],
    path: Path,
    *,
    n_columns: int = 4,
) -> None:
    """Draw maps side by side with a title each and save them as PNG.

    Parameters
    ----------
    maps : sequence of ndarray of shape (n_frames, n_frames)
        One map a panel; the sizes may differ. An empty array (0, 0) stands for a
        run without a map.
    titles : sequence of str
        One title a map.
    path : Path
        File to write; its folder must exist.
    n_columns : int
        Panels in a row.
    """
    n_rows = math.ceil(len(maps) / n_columns)
    size = (n_columns * _PANEL_INCHES, n_rows * (_PANEL_INCHES + 0.35))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes, two_time, title in zip(panels, maps, titles, strict=False):
        if two_time.size:
            _draw_map(axes, two_time, None)
        else:
            axes.text(0.5, 0.5, "no map", ha="center", va="center", color="0.5")
        axes.set_title(title, fontsize=8)
        axes.set(xticks=[], yticks=[], xlabel="", ylabel="")
    for axes in panels[len(maps) :]:
        axes.set_axis_off()
    path.write_bytes(_png(figure))


def _draw_map(
    axes: Axes, two_time: NDArray[Any], frame_time: float | None
) -> AxesImage:
    if two_time.ndim != 2 or two_time.shape[0] != two_time.shape[1]:
        raise TwoTimeError(f"a two-time map is square, got shape {two_time.shape}")
    step = frame_time or 1.0
    extent = two_time.shape[0] * step
    low, high = _colour_limits(two_time)
    axes.set_facecolor("0.8")
    # Averaged, not strided: striding throws statistics away and aliases.
    image = axes.imshow(
        _shrunk(two_time),
        extent=(0, extent, extent, 0),
        vmin=low,
        vmax=high,
        cmap="viridis",
    )
    unit = "s" if frame_time else "frames"
    axes.set_xlabel(f"t2 [{unit}]")
    axes.set_ylabel(f"t1 [{unit}]")
    return image


def _colour_limits(two_time: NDArray[Any]) -> tuple[float, float]:
    off_diagonal = two_time[~np.eye(len(two_time), dtype=bool)]
    finite = off_diagonal[np.isfinite(off_diagonal)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, [1, 99])
    return float(low), float(high)


def _shrunk(two_time: NDArray[Any]) -> NDArray[Any]:
    factor = len(two_time) // _MAX_PIXELS
    if factor < 2:
        return two_time
    n = len(two_time) // factor * factor
    blocks = two_time[:n, :n].reshape(n // factor, factor, n // factor, factor)
    return np.asarray(blocks.mean(axis=(1, 3)))


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
