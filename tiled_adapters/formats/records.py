"""What the readers of files hand over, whatever the format."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.files import read_array

__all__ = ["FrameSource", "TwoTimeFile"]


@dataclass(frozen=True, eq=False)
class TwoTimeFile:
    """Two-time maps as a file holds them, brought to one convention.

    Parameters
    ----------
    two_time : ndarray of float32, shape (n_q_bins, n_frames, n_frames)
        Filled squares, origin upper left.
    q_values : ndarray of shape (n_q_bins,)
        In 1/angstrom; nan where the file does not say.
    phi_values : ndarray of shape (n_q_bins,)
        In degrees; nan for a whole ring, or where the file does not say.
    frame_time : float or None
        Time from one row of a map to the next, in seconds.
    metadata : dict
        What else the file tells, as plain JSON values.
    """

    two_time: NDArray[np.float32]
    q_values: NDArray[np.float64]
    phi_values: NDArray[np.float64]
    frame_time: float | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class FrameSource:
    """Detector frames of an open file, read in blocks.

    Parameters
    ----------
    parts : tuple of h5py.Dataset
        Stacks of shape (n, n_rows, n_cols) that follow one another.
    frame_time : float or None
        Start-to-start time of frames, in seconds; None where the file is silent.
    usable_pixels : ndarray of bool, shape (n_rows, n_cols), or None
        True where the detector counts; None if all pixels do.

    Raises
    ------
    FileFormatError
        If the parts are no stacks of frames of one shape and of numbers, or the usable
        pixels are of another shape.
    """

    parts: tuple[h5py.Dataset, ...]
    frame_time: float | None = None
    usable_pixels: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if not self.parts:
            raise FileFormatError("no frames: the file has no stack")
        for part in self.parts:
            if part.ndim != 3 or part.shape[1:] != self.parts[0].shape[1:]:
                raise FileFormatError(
                    f"{part.file.filename}: {part.name} has shape {part.shape}, "
                    f"not (n_frames, n_rows, n_cols) like its neighbours"
                )
            if part.dtype.kind not in "biuf":
                raise FileFormatError(
                    f"{part.file.filename}: {part.name} holds {part.dtype}, not counts"
                )
        pixels = self.usable_pixels
        if pixels is not None and pixels.shape != self.shape[1:]:
            raise FileFormatError(
                f"{self.parts[0].file.filename}: a frame has shape {self.shape[1:]}, "
                f"the pixel mask {pixels.shape}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_frames, n_rows, n_cols)."""
        _, n_rows, n_cols = self.parts[0].shape
        return sum(len(part) for part in self.parts), n_rows, n_cols

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a pixel."""
        dtype: np.dtype[Any] = self.parts[0].dtype
        return dtype

    def blocks(
        self, block_frames: int, start: int = 0, stop: int | None = None
    ) -> Iterator[NDArray[Any]]:
        """Read frames in order.

        Parameters
        ----------
        block_frames : int
            Most frames in a block.
        start, stop : int
            First frame, and the one after the last; all by default.

        Yields
        ------
        ndarray of shape (<= block_frames, n_rows, n_cols)
            Counts; 0 in pixels that are not usable.
        """
        end = self.shape[0] if stop is None else min(stop, self.shape[0])
        offset = 0
        for part in self.parts:
            first, last = max(start - offset, 0), min(end - offset, len(part))
            for index in range(first, last, block_frames):
                selection = slice(index, min(index + block_frames, last))
                yield self._masked(read_array(part, selection))
            offset += len(part)

    def _masked(self, block: NDArray[Any]) -> NDArray[Any]:
        if self.usable_pixels is not None:
            block[:, ~self.usable_pixels] = 0
        return block
