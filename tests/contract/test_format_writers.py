"""The files that the tests write are such as their own programs read."""

from importlib import import_module

import numpy as np
import pytest

from tests import format_writers as writers

pytestmark = pytest.mark.slow

FRAMES = np.random.default_rng(0).poisson(0.5, (6, 5, 8)).astype("u2")


@pytest.fixture
def read():
    """Read a file with a class of boost-corr, the reader of these formats at 8-ID."""
    pytest.importorskip("boost_corr")

    def read(module, name, path):
        handlers = import_module(f"boost_corr.xpcs_aps_8idi.dataset.{module}")
        reader = getattr(handlers, name)(str(path), batch_size=100, device="cpu")
        found = reader.__getbatch__(0).numpy()
        return found.reshape(-1, *reader.det_size)

    return read


@pytest.mark.parametrize("is_sparse", [True, False], ids=["sparse", "dense"])
def test_boost_corr_reads_imm(tmp_path, read, is_sparse):
    path = writers.write_imm(tmp_path / "x.imm", FRAMES, is_sparse=is_sparse)
    np.testing.assert_array_equal(read("imm_handler", "ImmDataset", path), FRAMES)


def test_boost_corr_reads_rigaku(tmp_path, read):
    frames = writers.sparse_frames(6, (512, 1024))
    frames[-1, 0, 0] = 1
    path = writers.write_rigaku(tmp_path / "x.bin", frames)
    found = read("rigaku_handler", "RigakuDataset", path)
    np.testing.assert_array_equal(found, frames)


def test_boost_corr_reads_modules_of_rigaku(tmp_path, read):
    frames = np.zeros((3, 1676, 2100), "u2")
    for place in range(6):
        row, col = place // 2 * 582, place % 2 * 1076
        module = writers.sparse_frames(3, (512, 1024), seed=place)
        frames[:, row : row + 512, col : col + 1024] = module
    frames[-1, ::582, ::1076] = 1
    path = writers.write_rigaku_3m(tmp_path, "x", frames)
    found = read("rigaku_3M_handler", "Rigaku3MDataset", path)
    np.testing.assert_array_equal(found, frames)
