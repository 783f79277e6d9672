"""Known and incoming runs, as a picture."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tiled_adapters.drift import ModelDrift

__all__ = ["draw_drift"]

_INCHES = 5.4
_CHARACTERS = 60


def draw_drift(found: Sequence[ModelDrift], path: Path) -> None:
    """Draw where incoming runs lie among the known ones, one panel a model.

    Parameters
    ----------
    found : sequence of ModelDrift
        What to draw; at least one.
    path : Path
        PNG file to write; its folder must exist.
    """
    figure = Figure(figsize=(_INCHES * len(found), _INCHES), layout="constrained")
    panels = figure.subplots(1, len(found), squeeze=False).ravel()
    for axes, one in zip(panels, found, strict=True):
        _draw_model(axes, one)
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png", dpi=120)


def _draw_model(axes: Axes, one: ModelDrift) -> None:
    known, incoming = _principal(one)
    axes.scatter(
        known[:, 0], known[:, 1], s=10, color="0.7", label=f"{len(known)} known"
    )
    axes.scatter(
        incoming[:, 0],
        incoming[:, 1],
        s=16,
        color="tab:red",
        label=f"{len(incoming)} incoming",
    )
    axes.set(xlabel="principal axis 1", ylabel="principal axis 2")
    title = "\n".join(
        fill(text, _CHARACTERS) for text in (one.model, one.report.sentence)
    )
    axes.set_title(title, fontsize=9, parse_math=False)
    axes.legend()


def _principal(one: ModelDrift) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both sets of fingerprints on the first two axes of all of them."""
    both = np.concatenate(
        [table.Z for table in (one.known, one.incoming) if len(table) > 0]
    )
    _, _, axes = np.linalg.svd(both - both.mean(axis=0), full_matrices=False)
    flat = np.zeros((len(both), 2))
    flat[:, : len(axes[:2])] = (both - both.mean(axis=0)) @ axes[:2].T
    return flat[: len(one.known)], flat[len(one.known) :]
