"""Files of Rigaku XSPA detectors: one 64-bit word a photon event."""

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.formats.adapters import FramesAdapter
from tiled_adapters.formats.aps_metadata import read_sibling
from tiled_adapters.formats.binary import (
    BinaryFile,
    open_binary,
    require_pixels,
    sibling,
)
from tiled_adapters.formats.records import Events, EventSource

__all__ = ["Rigaku3mAdapter", "Rigaku500kAdapter", "open_modules", "open_single"]

_WORD = np.dtype("<u8")
_COUNT_MASK = 0xFFF  # bits 0 .. 11
_PIXEL_SHIFT, _PIXEL_MASK = 16, 0x1FFFFF  # bits 16 .. 36
_FRAME_SHIFT = 40  # bits 40 .. 63

_MODULE = (512, 1024)
_GRID = (3, 2)
_GAP = (70, 52)
_ORDER = (5, 0, 4, 1, 3, 2)
"""File number of each module, row by row from the upper left."""
_SHAPE_3M = (
    _GRID[0] * _MODULE[0] + (_GRID[0] - 1) * _GAP[0],
    _GRID[1] * _MODULE[1] + (_GRID[1] - 1) * _GAP[1],
)
_MODULE_OFFSET = 1024 * 1024
"""Added to every pixel number by some versions of the 3M."""
_SAMPLE = 4096


@contextmanager
def open_single(path: Path, _dataset: str | None = None, /) -> Iterator[EventSource]:
    """Open the events of a 500k detector.

    Parameters
    ----------
    path : Path
        `*.bin`; the last frames are missing if they are without photons.

    Yields
    ------
    EventSource
        Valid inside the `with` block.
    """
    with open_binary(path) as file:
        module = _Module(file)
        facts = read_sibling(path, path.stem)
        yield EventSource(
            str(path),
            (module.n_frames, *_MODULE),
            np.dtype(np.uint16),
            module.read,
            frame_time=facts.frame_time,
            metadata=facts.metadata,
        )


@contextmanager
def open_modules(path: Path, _dataset: str | None = None, /) -> Iterator[EventSource]:
    """Open the events of a 3M detector: six modules, a file each.

    Parameters
    ----------
    path : Path
        `*.bin.000`; `.001` to `.005` lie beside it.

    Yields
    ------
    EventSource
        Valid inside the `with` block; the gaps between modules are not usable.
    """
    with ExitStack() as stack:
        modules = [
            _Module(stack.enter_context(open_binary(_module_path(path, number))))
            for number in _ORDER
        ]
        n_frames = max(module.n_frames for module in modules)
        facts = read_sibling(path, Path(path.stem).stem)
        yield EventSource(
            str(path),
            (n_frames, *_SHAPE_3M),
            np.dtype(np.uint16),
            lambda start, stop: _merged(modules, start, stop),
            frame_time=facts.frame_time,
            usable_pixels=_modules_mask(),
            metadata=facts.metadata,
        )


class Rigaku500kAdapter(FramesAdapter):
    """Frames of a Rigaku 500k detector."""

    mimetype = "application/x-xpcs-rigaku-500k"
    open = staticmethod(open_single)


class Rigaku3mAdapter(FramesAdapter):
    """Frames of the six modules of a Rigaku 3M detector."""

    mimetype = "application/x-xpcs-rigaku-3m"
    open = staticmethod(open_modules)


class _Module:
    """Events of one file, found by bisection: the words are in order of frames."""

    def __init__(self, file: BinaryFile) -> None:
        self._file = file
        self._n_words, rest = divmod(file.size, _WORD.itemsize)
        if rest or not self._n_words:
            raise FileFormatError(
                f"{file.path} has {file.size} bytes: that are no whole events of 8"
            )
        self.n_frames = self._frame_at(self._n_words - 1) + 1
        self._pixel_offset = self._find_pixel_offset()

    def read(self, start: int, stop: int) -> Events:
        """Read the events of frames start..stop."""
        # Whatever the order in a damaged file, all words are read in a pass over all
        # frames, and so the first that is out of order is found.
        first = self._first_word(start) if start > 0 else 0
        last = self._first_word(stop) if stop < self.n_frames else self._n_words
        words = self._file.read(first * _WORD.itemsize, _WORD, max(last - first, 0))
        frame_index = (words >> _FRAME_SHIFT).astype(np.int64)
        self._check_order(frame_index, start, stop, first)
        pixel_index = ((words >> _PIXEL_SHIFT) & _PIXEL_MASK).astype(np.int64)
        pixel_index -= self._pixel_offset
        require_pixels(
            pixel_index, _MODULE[0] * _MODULE[1], lambda index: self._at(first + index)
        )
        return Events(frame_index, pixel_index, (words & _COUNT_MASK).astype(np.uint16))

    def _first_word(self, frame: int) -> int:
        return bisect_left(range(self._n_words), frame, key=self._frame_at)

    def _frame_at(self, index: int) -> int:
        word = self._file.peek(index * _WORD.itemsize, _WORD.itemsize)
        return int.from_bytes(word, "little") >> _FRAME_SHIFT

    def _find_pixel_offset(self) -> int:
        sample = self._file.read(0, _WORD, min(self._n_words, _SAMPLE))
        lowest = int(((sample >> _PIXEL_SHIFT) & _PIXEL_MASK).min())
        return _MODULE_OFFSET if lowest >= _MODULE_OFFSET else 0

    def _check_order(
        self, frame_index: NDArray[np.int64], start: int, stop: int, first: int
    ) -> None:
        steps = np.diff(frame_index, prepend=start, append=stop - 1)
        if len(frame_index) and steps.min() < 0:
            index = min(int(np.argmax(steps < 0)), len(frame_index) - 1)
            raise FileFormatError(
                f"{self._at(first + index)}: frame {frame_index[index]} is not in order"
            )

    def _at(self, index: int) -> str:
        return f"{self._file.path}, byte {index * _WORD.itemsize}"


def _module_path(path: Path, number: int) -> Path:
    name = f"{path.stem}.{number:03d}"
    found = sibling(path, name)
    if found is None:
        raise FileFormatError(
            f"{path}: module {number} is missing, no {name} beside it"
        )
    return found


def _corners() -> list[tuple[int, int]]:
    """Return row and column of the upper left pixel of each module."""
    pitch = [size + gap for size, gap in zip(_MODULE, _GAP, strict=True)]
    return [(index // 2 * pitch[0], index % 2 * pitch[1]) for index in range(6)]


def _modules_mask() -> NDArray[np.bool_]:
    mask = np.zeros(_SHAPE_3M, np.bool_)
    for row, col in _corners():
        mask[row : row + _MODULE[0], col : col + _MODULE[1]] = True
    return mask


def _merged(modules: list[_Module], start: int, stop: int) -> Events:
    """Return the events of all modules on one detector, in order of frames."""
    parts: list[tuple[NDArray[Any], ...]] = []
    for module, (row, col) in zip(modules, _corners(), strict=True):
        events = module.read(min(start, module.n_frames), min(stop, module.n_frames))
        rows, cols = np.divmod(events.pixel_index, _MODULE[1])
        flat = (rows + row) * _SHAPE_3M[1] + cols + col
        parts.append((events.frame_index, flat, events.counts))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    return Events(*(column[order] for column in columns))
