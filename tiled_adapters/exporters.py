"""Two-time maps as pictures, made by the server."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tiled.utils import SerializationError

__all__ = ["two_time_png"]


def two_time_png(
    _mimetype: str, two_time: NDArray[Any], metadata: Mapping[str, Any]
) -> bytes:
    """Draw a two-time map as PNG.

    Parameters
    ----------
    two_time : ndarray of shape (n_frames, n_frames) or (n_q_bins, n_frames, n_frames)
        Of several maps the first is drawn; slice the array to choose.
    metadata : mapping
        Of the node; `title` is written above the map, of a whole stack also the q-bin
        and q: a slice does not tell which maps it holds.

    Returns
    -------
    bytes
        The picture.

    Raises
    ------
    SerializationError
        If the array is no map.
    """
    given = np.asarray(two_time)
    image = given[0] if given.ndim == 3 and len(given) else given
    if image.ndim != 2 or image.shape[0] != image.shape[1]:
        raise SerializationError(f"not a two-time map: shape {np.shape(two_time)}")
    # matplotlib takes a second to import: when the first picture is asked for.
    figures = import_module("ainerd_bluesky.figures")
    picture: bytes = figures.draw_two_time(
        image,
        title=_title(metadata, n_maps=len(given) if given.ndim == 3 else 1),
        frame_time=metadata.get("frame_time"),
    )
    return picture


def _title(metadata: Mapping[str, Any], n_maps: int) -> str:
    """Return what stands above the first of the maps."""
    q_bin, q = metadata.get("q_bin"), metadata.get("q")
    q_values = list(metadata.get("q_values") or ())
    if n_maps == len(q_values):
        q_bin, q = 1, q_values[0]
    parts = (
        metadata.get("title"),
        None if q_bin is None else f"q-bin {q_bin}",
        None if q is None else f"q = {q:.4g} 1/Å",
    )
    return ", ".join(str(part) for part in parts if part)
