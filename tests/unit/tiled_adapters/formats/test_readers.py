import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tests import format_writers as writers
from tiled_adapters.formats import open_frames, read_two_time

FRAMES = np.random.default_rng(0).poisson(1, (7, 4, 5)).astype("u2")
WRITERS = {
    "x.bin": lambda path: writers.write_rigaku(path, FRAMES),
    "x.imm": lambda path: writers.write_imm(path, FRAMES, is_sparse=True),
    "x.cmp": lambda path: writers.write_cmp(path, FRAMES),
    "x.h5": lambda path: writers.write_bliss(path, FRAMES),
    "sparse_00000.h5": lambda path: writers.write_sparse_frames(
        path.parent, FRAMES, 7, mask=np.zeros((4, 5))
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_frames_that_are_not_announced_are_recognised(tmp_path, name):
    path = WRITERS[name](tmp_path / name)
    with pytest.raises(FileFormatError, match="--raw --partition"):
        read_two_time(path)


@pytest.mark.parametrize("name", ["x.bin", "x.imm", "x.cmp"])
def test_path_inside_a_file_that_has_none_is_refused(tmp_path, name):
    path = WRITERS[name](tmp_path / name)
    with pytest.raises(FileFormatError, match="no HDF5"), open_frames(path, "/a"):
        pass
