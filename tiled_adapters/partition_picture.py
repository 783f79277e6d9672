"""A q-partition as a picture."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ainerd_bluesky.xpcs.data.roi import QPartition

__all__ = ["draw_partition"]

_MAX_PIXELS = 1200


def draw_partition(partition: QPartition, path: Path) -> None:
    """Draw the q-bins with their static bins and save them as PNG.

    Parameters
    ----------
    partition : QPartition
        What to draw.
    path : Path
        File to write; its folder must exist.
    """
    step = max(1, max(partition.shape) // _MAX_PIXELS)
    labels = partition.roi_map[::step, ::step]
    q_bins = np.where(labels > 0, partition.q_values[labels - 1], np.nan)
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor("0.85")
    n_rows, n_cols = partition.shape
    image = axes.imshow(
        q_bins,
        extent=(-0.5, n_cols - 0.5, n_rows - 0.5, -0.5),
        interpolation="nearest",
        cmap="viridis",
    )
    if partition.static_map is not None:
        # Every other static bin is shaded, which tells neighbours apart.
        shade = np.where(partition.static_map[::step, ::step] % 2, 0.25, 0.0)
        axes.imshow(
            np.zeros_like(shade),
            alpha=np.where(labels > 0, shade, 0.0),
            extent=image.get_extent(),
            interpolation="nearest",
            cmap="gray",
        )
    edges = _edges(labels)
    axes.imshow(
        np.ones_like(labels),
        alpha=edges.astype(float),
        extent=image.get_extent(),
        interpolation="nearest",
        cmap="gray",
        vmin=0,
        vmax=1,
    )
    figure.colorbar(image, ax=axes, label="q of the bin [1/Å]")
    axes.set(xlabel="column", ylabel="row", title=f"{partition.n_q_bins} q-bins")
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png", dpi=120)


def _edges(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return where a q-bin meets the next."""
    edges = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        after = np.diff(labels, axis=axis, prepend=labels.take([0], axis)) != 0
        edges |= after & (labels > 0)
    return edges
