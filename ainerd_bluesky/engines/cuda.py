"""Products on a graphics processor."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ainerd_bluesky.xpcs.data.series import Counts
from ainerd_bluesky.xpcs.two_time.products import TileBuffer, highest_count

__all__ = ["CudaProducts", "cuda_works"]

Floats = NDArray[np.float64]


class CudaProducts:
    """Products in single precision on a graphics processor, or any torch device.

    Parameters
    ----------
    device : str
        Name of the device in torch.
    """

    name = "cuda"

    def __init__(self, device: str = "cuda") -> None:
        self.device = device

    def prepare(self, counts: Counts, is_good: NDArray[np.bool_]) -> "_DeviceFrames":
        """Take counts as float32 on the device."""
        peak = highest_count(counts, is_good)
        frames = counts.astype(np.float32)
        frames[~is_good] = 0
        return _DeviceFrames(torch.from_numpy(frames).to(self.device), peak)


class _DeviceFrames:
    """Frames on the device; tiles come back to numpy."""

    engine = "cuda"
    is_exact = False

    def __init__(self, frames: torch.Tensor, peak: float) -> None:
        self.peak = peak
        self._frames = frames
        self._buffer = TileBuffer(np.float32)

    def tile(self, rows: slice, columns: slice, pixels: slice) -> NDArray[Any]:
        tile = self._buffer.tile(rows.stop - rows.start, columns.stop - columns.start)
        product = self._frames[rows, pixels] @ self._frames[columns, pixels].T
        torch.from_numpy(tile).copy_(product)
        return tile

    def sums(self, pixels: slice) -> Floats:
        sums: Floats = (
            self._frames[:, pixels].sum(dim=1, dtype=torch.float64).cpu().numpy()
        )
        return sums

    def rescale(self, weights: Floats) -> None:
        self._frames *= torch.from_numpy(weights).to(self._frames)


def cuda_works() -> bool:
    """Tell whether torch finds a graphics processor and multiplies in full precision.

    Returns
    -------
    bool
        False where TF32 was switched on, which has three digits.
    """
    return torch.cuda.is_available() and not torch.backends.cuda.matmul.allow_tf32
