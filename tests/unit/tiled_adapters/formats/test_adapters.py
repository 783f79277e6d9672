import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.formats.adapters import array_structure


@pytest.mark.parametrize(
    ("shape", "n_blocks"),
    [((10, 2, 2), 1), ((10, 1000, 1000), 5), ((10, 4000, 4000), 10), ((1, 1, 1), 1)],
    ids=["small", "two-a-block", "one-a-block", "single"],
)
def test_blocks_have_at_most_4_mb_or_one_entry(shape, n_blocks):
    structure = array_structure(shape, np.dtype("u2"), ("frame", "row", "col"))
    assert len(structure.chunks[0]) == n_blocks
    assert sum(structure.chunks[0]) == shape[0]


@pytest.mark.parametrize("n_frames", [2**24, 2**60])
def test_more_frames_than_can_be_listed_are_refused_at_once(n_frames):
    with pytest.raises(FileFormatError, match="blocks"):
        array_structure((n_frames, 512, 1024), np.dtype("u2"), ("a", "b", "c"))
