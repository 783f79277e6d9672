"""Our own decoder of detector files, and the plain way to read them."""

import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ainerd_bluesky.bench.cases import Case
from ainerd_bluesky.bench.job import Job, largest_difference

__all__ = ["FILE_JOBS"]

# Packages above this one are reached by name.
_DECODE = "tiled_adapters.decode:iter_frames"
# Both ways are fastest in blocks of about this size.
_BLOCK_FRAMES = 16


def _open_file(case: Case, folder: Path) -> Path:
    return case.path(folder)


def _decode(path: Path) -> int:
    """Read all frames with our decoder; return how many."""
    with h5py.File(path) as file:
        blocks = pkgutil.resolve_name(_DECODE)(file["entry/data/data"], _BLOCK_FRAMES)
        return sum(len(block) for block in blocks)


def _read_plainly(path: Path) -> int:
    """Read all frames with h5py into one buffer, its fastest way; return how many."""
    with h5py.File(path) as file:
        frames = file["entry/data/data"]
        buffer = np.empty((_BLOCK_FRAMES, *frames.shape[1:]), frames.dtype)
        for start in range(0, len(frames), _BLOCK_FRAMES):
            stop = min(start + _BLOCK_FRAMES, len(frames))
            frames.read_direct(buffer, np.s_[start:stop], np.s_[: stop - start])
        return len(frames)


def _compare_decoded(path: Path, n_frames: int) -> Mapping[str, Any]:
    with h5py.File(path) as file:
        plain = file["entry/data/data"]
        blocks = pkgutil.resolve_name(_DECODE)(plain, _BLOCK_FRAMES)
        first = next(blocks)
        difference = largest_difference(first, plain[: len(first)])
        n_missing = abs(len(plain) - n_frames)
    return {"checks": {"counts": difference, "frames": float(n_missing)}}


FILE_JOBS = {
    "decode": Job(_decode, _open_file, _compare_decoded),
    "h5py": Job(_read_plainly, _open_file),
}
