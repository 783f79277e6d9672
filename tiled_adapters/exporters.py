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
        Of the node; `title` is written above the map.

    Returns
    -------
    bytes
        The picture.

    Raises
    ------
    SerializationError
        If the array is no map.
    """
    image = np.asarray(two_time)
    image = image[0] if image.ndim == 3 and len(image) else image
    if image.ndim != 2 or image.shape[0] != image.shape[1]:
        raise SerializationError(f"not a two-time map: shape {np.shape(two_time)}")
    # matplotlib takes a second to import: when the first picture is asked for.
    figures = import_module("ainerd_bluesky.figures")
    picture: bytes = figures.draw_two_time(
        image,
        title=str(metadata.get("title", "")),
        frame_time=metadata.get("frame_time"),
    )
    return picture
