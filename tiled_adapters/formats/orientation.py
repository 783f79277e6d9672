"""Whether a q-partition lies as the frames do."""

import dataclasses

from ainerd_bluesky.xpcs.data.roi import QPartition

__all__ = ["laid_on"]


def laid_on(partition: QPartition, frame_shape: tuple[int, int]) -> QPartition:
    """Return a q-partition with the rows and columns of the frames.

    Some programs write the transpose of the frames, and the map of their bins with
    it. A detector that is not square gives itself away.

    Parameters
    ----------
    partition : QPartition
        As its file has it.
    frame_shape : tuple of int
        (n_rows, n_cols) of a frame.

    Returns
    -------
    QPartition
        Transposed if only so it fits; unchanged otherwise.

    Examples
    --------
    >>> import numpy as np
    >>> partition = QPartition(np.array([[1, 1, 0]]), [0.01], [np.nan])
    >>> laid_on(partition, (3, 1)).roi_map.ravel()
    array([1, 1, 0], dtype=int32)
    """
    if partition.shape == frame_shape or partition.shape[::-1] != frame_shape:
        return partition
    static_map = partition.static_map
    return dataclasses.replace(
        partition,
        roi_map=partition.roi_map.T,
        static_map=None if static_map is None else static_map.T,
    )
