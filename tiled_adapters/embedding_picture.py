"""A map of runs as a picture."""

import colorsys
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from ainerd_bluesky.vocabulary import DYNAMICS
from tiled_adapters.embedding_map import EmbeddingMap

__all__ = ["draw_embedding_map", "label_colours", "thumbnail_png"]

_N_COLUMNS = 5
_SIZE = 9.0
_HEIGHT = 6.3
"""Of the points, in inches; the typical maps come below."""
_CHARACTERS = 80
"""Of a line above the points, five times as many as above a typical map."""
_MARGIN = 0.05
"""Share of the width of the map that stays free around it."""


def label_colours(labels: Sequence[str]) -> dict[str, str]:
    """Choose a colour for each label, the same one in every picture.

    Parameters
    ----------
    labels : sequence of str
        Labels of runs; any order, repeats welcome.

    Returns
    -------
    dict of str to str
        Colours as `#rrggbb`: first the vocabulary in its order, then a beamline's own
        words by the alphabet, in darker colours. Each follows from its word alone, so
        two own words may look alike.
    """
    words = [str(word) for word in DYNAMICS]
    present = set(labels)
    # A colour map takes a whole number as the place in its list of colours.
    palette = colormaps["tab10"]
    colours = {w: to_hex(palette(i)) for i, w in enumerate(words) if w in present}
    return colours | {w: _own_colour(w) for w in sorted(present - set(words))}


def draw_embedding_map(chart: EmbeddingMap, path: Path) -> None:
    """Draw a map of runs, with a typical two-time map of each label below it.

    Parameters
    ----------
    chart : EmbeddingMap
        What to draw.
    path : Path
        PNG file to write; its folder must exist.
    """
    colours = label_colours(chart.runs["label"].tolist())
    examples = _examples(chart)
    n_rows = math.ceil(len(colours) / _N_COLUMNS)
    heights = [_HEIGHT, _SIZE / _N_COLUMNS * 1.15 * n_rows]
    figure = Figure(figsize=(_SIZE, sum(heights)), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_points(upper.subplots(), chart, colours, examples)
    panels = lower.subplots(n_rows, _N_COLUMNS, squeeze=False).ravel()
    for axes in panels[len(colours) :]:
        axes.set_axis_off()
    numbered = enumerate(zip(panels, colours.items(), strict=False), 1)
    for number, (axes, (label, colour)) in numbered:
        n_runs = int((chart.runs["label"] == label).sum())
        _draw_example(axes, chart.thumbnails.get(examples.get(label, "")))
        title = fill(f"{number} {label} ({n_runs})", _CHARACTERS // _N_COLUMNS)
        axes.set_title(title, color=colour, fontsize=10, parse_math=False)
        axes.spines[:].set(color=colour, linewidth=2)
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png", dpi=120)


def thumbnail_png(two_time: NDArray[np.float32]) -> bytes:
    """Return a small map as a PNG picture, one pixel an element.

    Parameters
    ----------
    two_time : ndarray of shape (n, n)
        The map; nan where not known.

    Returns
    -------
    bytes
        Coloured from the 1st to the 99th percentile.
    """
    low, high = _limits(two_time)
    buffer = io.BytesIO()
    imsave(buffer, two_time, vmin=low, vmax=high, cmap="viridis", format="png")
    return buffer.getvalue()


def _own_colour(word: str) -> str:
    # The built-in hash of a text is another one in each session.
    number = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
    return to_hex(colorsys.hsv_to_rgb(number / 2**32, 0.9, 0.5))


def _examples(chart: EmbeddingMap) -> dict[str, str]:
    """Return of each label the pictured run that is nearest to its middle."""
    pictured = chart.runs[chart.runs["run_uid"].isin(list(chart.thumbnails))]
    chosen = {}
    for label, group in pictured.groupby("label"):
        places = group[["x", "y"]].to_numpy()
        all_places = chart.runs.loc[chart.runs["label"] == label, ["x", "y"]]
        distance = np.linalg.norm(places - np.median(all_places, axis=0), axis=1)
        chosen[str(label)] = str(group["run_uid"].iloc[int(distance.argmin())])
    return chosen


def _draw_points(
    axes: Axes,
    chart: EmbeddingMap,
    colours: Mapping[str, str],
    examples: Mapping[str, str],
) -> None:
    runs = chart.runs
    axes.scatter(
        runs["x"],
        runs["y"],
        c=runs["label"].map(colours).tolist(),
        s=float(np.clip(6000 / len(runs), 4, 40)),
        linewidths=0,
        alpha=0.8,
    )
    ringed = runs[runs["run_uid"].isin(list(examples.values()))]
    axes.scatter(ringed["x"], ringed["y"], s=130, facecolors="none", edgecolors="black")
    numbers = {label: str(n) for n, label in enumerate(colours, 1)}
    for run in ringed.to_dict("records"):
        axes.annotate(
            numbers[run["label"]],
            (run["x"], run["y"]),
            xytext=(7, 5),
            textcoords="offset points",
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )
    (left, right), (bottom, top) = _frame(chart.limits, runs)
    axes.set(
        xlim=(left, right),
        ylim=(bottom, top),
        xlabel="axis 1",
        ylabel="axis 2",
    )
    title = fill(
        f"{len(runs)} runs by {chart.model}; rings: the maps below", _CHARACTERS
    )
    axes.set_title(title, parse_math=False)
    axes.set_aspect("equal")


def _frame(limits: NDArray[np.float64], runs: pd.DataFrame) -> NDArray[np.float64]:
    """Return the frame of the projection, widened where runs lie outside."""
    wide = limits.copy()
    for axis, name in enumerate(("x", "y")):
        wide[axis, 0] = min(wide[axis, 0], runs[name].min())
        wide[axis, 1] = max(wide[axis, 1], runs[name].max())
    margin = _MARGIN * np.diff(wide, axis=1) + 1e-9
    return np.asarray(wide + margin * [-1, 1])


def _draw_example(axes: Axes, two_time: NDArray[np.float32] | None) -> None:
    axes.set(xticks=[], yticks=[], facecolor="0.9")
    if two_time is None:
        axes.text(0.5, 0.5, "no picture", ha="center", va="center", color="0.4")
        axes.set_box_aspect(1)
        return
    low, high = _limits(two_time)
    axes.imshow(two_time, vmin=low, vmax=high, cmap="viridis")


def _limits(two_time: NDArray[np.float32]) -> tuple[float, float]:
    """Return the range of colours: the shot noise of the diagonal has no say."""
    off_diagonal = two_time[~np.eye(len(two_time), dtype=bool)]
    known = off_diagonal[np.isfinite(off_diagonal)]
    if known.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(known, [1, 99])
    return float(low), float(high)
