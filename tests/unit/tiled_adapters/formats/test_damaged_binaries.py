"""Damaged files that are no HDF5: refused by name or read, no more."""

from collections import Counter

import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tests import format_writers as writers
from tiled_adapters.formats import open_frames

N_COPIES = 150
FRAMES = np.random.default_rng(5).poisson(0.4, (12, 6, 7)).astype("u2")


def write_modules(path):
    frames = writers.sparse_frames(12, (512, 1024), n_events=60)
    frames[-1, 0, 0] = 1
    return writers.write_rigaku(path, frames)


WRITERS = {
    "x.bin": write_modules,
    "dense.imm": lambda path: writers.write_imm(path, FRAMES, is_sparse=False),
    "sparse.imm": lambda path: writers.write_imm(path, FRAMES, is_sparse=True),
    "2.cmp": lambda path: writers.write_cmp(path, FRAMES, 2),
    "8.cmp": lambda path: writers.write_cmp(path, FRAMES / 2, 8),
}


def damaged(whole, rng):
    """Return a copy with some bytes changed, or cut off."""
    copy = np.frombuffer(whole, np.uint8).copy()
    places = rng.integers(0, len(copy), rng.integers(1, 12))
    # Small numbers do more harm than noise: they can pass for sizes.
    copy[places] = rng.choice([0, 1, 2, 6, 127, 128, 255], len(places))
    end = rng.integers(len(copy)) if rng.random() < 0.3 else len(copy)
    return copy[:end].tobytes()


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_file_is_refused_by_name_or_read(tmp_path, name, rng):
    path = WRITERS[name](tmp_path / name)
    whole = path.read_bytes()
    outcomes = Counter()
    for _ in range(N_COPIES):
        path.write_bytes(damaged(whole, rng))
        outcomes[outcome(path)] += 1
    assert set(outcomes) == {"read", "refused"}


def outcome(path):
    try:
        with open_frames(path) as source:
            # The header may ask for a detector that fits no memory.
            if source.shape[1] * source.shape[2] < 10**6:
                list(source.blocks(8, 0, 64))
    except FileFormatError as error:
        return "refused" if path.name in str(error) else str(error)
    return "read"
