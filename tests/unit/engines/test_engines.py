"""Engines against whole numbers, and the choice between them."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from ainerd_bluesky.engines import best_products, choice, load_products
from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.xpcs.two_time.correlation import correlate_bin
from ainerd_bluesky.xpcs.two_time.products import Float32Products, NumpyProducts

torch = pytest.importorskip("torch")
from ainerd_bluesky.engines import cuda, int8  # noqa: E402 - needs torch

needs_bytes = pytest.mark.skipif(
    not int8.int8_works(), reason="this torch multiplies no bytes"
)


@pytest.fixture
def broken_bytes(monkeypatch):
    """A torch whose product of bytes is off by one."""
    right = torch._int_mm

    def wrong(left, right_factor, out=None):
        product = right(left, right_factor)
        return product + 1 if out is None else out.copy_(product + 1)

    monkeypatch.setattr(torch, "_int_mm", wrong)
    int8.int8_works.cache_clear()
    yield
    monkeypatch.undo()
    int8.int8_works.cache_clear()


@pytest.fixture
def no_bytes(monkeypatch):
    """A torch without products of bytes."""
    monkeypatch.delattr(torch, "_int_mm")
    int8.int8_works.cache_clear()
    yield
    monkeypatch.undo()
    int8.int8_works.cache_clear()


@needs_bytes
@pytest.mark.parametrize("n_pixels", [2, 3, 31, 64, 1000, 5001])
@pytest.mark.parametrize("highest", [1, 127])
def test_bytes_are_multiplied_exactly(rng, n_pixels, highest):
    counts = rng.integers(0, highest + 1, (70, n_pixels)).astype(np.uint8)
    frames = int8.Int8Products().prepare(counts, np.ones(70, bool))
    whole = counts.astype(np.int64)
    for rows, columns in ((slice(0, 1), slice(0, 70)), (slice(3, 70), slice(5, 6))):
        tile = frames.tile(rows, columns, slice(0, n_pixels))
        assert np.array_equal(tile, whole[rows] @ whole[columns].T)
    assert np.array_equal(frames.sums(slice(0, n_pixels)), whole.sum(axis=1))


@needs_bytes
@pytest.mark.parametrize(
    ("counts", "engine"),
    [
        (np.full((4, 9), 127, np.uint16), "int8"),
        (np.full((4, 9), 128, np.uint16), "fp32"),
        (np.full((4, 9), 1.0), "fp32"),
        (np.full((4, 9), -1), "fp32"),
        (np.full((4, 1), 5, np.uint8), "fp32"),
        (np.full((4, 9), 5, np.int64), "int8"),
        (np.full((4, 9), fill_value=True), "int8"),
        (np.full((1, 140_000), 127, np.uint8), "fp32"),
    ],
    ids=[
        "127",
        "128",
        "floats",
        "negative",
        "one-pixel",
        "signed",
        "bools",
        "beyond-32-bits",
    ],
)
def test_what_bytes_cannot_hold_is_multiplied_in_floats(counts, engine):
    prepared = int8.Int8Products().prepare(counts, np.ones(len(counts), bool))
    assert prepared.engine == engine


@needs_bytes
def test_lost_frames_do_not_keep_a_q_bin_from_bytes():
    counts = np.ones((4, 9), np.uint16)
    counts[2] = 65535
    prepared = int8.Int8Products().prepare(counts, np.arange(4) != 2)
    assert prepared.engine == "int8"
    assert np.array_equal(prepared.sums(slice(0, 9)), [9, 9, 0, 9])


@needs_bytes
@pytest.mark.parametrize("lost", [0, 255])
def test_lost_frames_are_left_out_without_a_copy(rng, lost):
    counts = rng.poisson(1.0, (70, 50_000)).astype(np.uint8)
    is_good = np.arange(70) % 30 != 7
    expected = counts.astype(np.int64) * is_good[:, None]
    counts[~is_good] = lost
    tracemalloc.start()
    try:
        frames = int8.Int8Products().prepare(counts, is_good)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < counts.nbytes / 10
    every, pixels = slice(0, 70), slice(3, 50_000)
    rows = slice(5, 45)
    wanted = expected[:, pixels]
    assert np.array_equal(frames.tile(rows, every, pixels), wanted[rows] @ wanted.T)
    assert np.array_equal(frames.sums(pixels), wanted.sum(axis=1))


@needs_bytes
def test_read_only_counts_stay_as_they_are():
    counts = np.ones((4, 9), np.uint8)
    counts.flags.writeable = False
    assert correlate_bin(counts, products=int8.Int8Products()).engine == "int8"


@pytest.mark.parametrize("torch_is", ["broken_bytes", "no_bytes"])
def test_wrong_products_of_bytes_fall_back_to_floats(request, rng, torch_is):
    request.getfixturevalue(torch_is)
    counts = rng.poisson(2.0, (30, 50)).astype(np.uint8)
    correlated = correlate_bin(counts, products=int8.Int8Products())
    assert correlated.engine == "fp32"
    assert correlated.g2 == pytest.approx(correlate_bin(counts).g2, rel=1e-6)
    assert best_products(5, np.uint8).name != "int8"
    with pytest.raises(ConfigError, match="set engine = 'auto'"):
        load_products("int8")


def test_threads_of_torch_are_left_as_they_were():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with int8.one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(n_threads)


def test_device_gives_the_same_as_numpy(rng):
    counts = rng.poisson(2.0, (300, 50)).astype(np.uint8)
    static_bins = np.arange(50) // 10
    expected = correlate_bin(counts, static_bins=static_bins)
    # The code is that of a graphics processor; only the name of the device differs.
    on_device = correlate_bin(
        counts, static_bins=static_bins, products=cuda.CudaProducts("cpu")
    )
    assert on_device.engine == "cuda"
    assert on_device.g2 == pytest.approx(expected.g2, rel=1e-6)
    assert np.abs(on_device.two_time - expected.two_time).max() < 1e-6


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics processor")
def test_graphics_processor_gives_the_same_as_numpy(rng):
    counts = rng.poisson(2.0, (300, 500)).astype(np.uint8)
    on_device = correlate_bin(counts, products=load_products("cuda"))
    assert on_device.g2 == pytest.approx(correlate_bin(counts).g2, rel=1e-6)


@needs_bytes
@pytest.mark.parametrize(
    ("counts_max", "dtype", "name"),
    [(127, np.uint16, "int8"), (128, np.uint16, "fp32"), (5, np.float32, "fp32")],
)
def test_best_engine_follows_the_counts(monkeypatch, counts_max, dtype, name):
    monkeypatch.setattr(cuda, "cuda_works", lambda: False)
    assert best_products(counts_max, dtype).name == name


def test_graphics_processor_is_best_where_there_is_one(monkeypatch):
    monkeypatch.setattr(cuda, "cuda_works", lambda: True)
    assert best_products(5, np.uint8).name == "cuda"


@pytest.mark.parametrize(
    ("name", "kind"), [("numpy", NumpyProducts), ("fp32", Float32Products)]
)
def test_engines_of_numpy_are_always_there(monkeypatch, name, kind):
    monkeypatch.setattr(choice, "find_spec", lambda _name: None)
    assert isinstance(load_products(name), kind)
    assert best_products(5, np.uint8).name == "numpy"


@pytest.mark.parametrize("name", ["int8", "cuda"])
def test_engine_without_torch_names_the_cure(monkeypatch, name):
    monkeypatch.setattr(choice, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"pip install 'ainerd-bluesky\[ml\]'"):
        load_products(name)


def test_engine_without_a_graphics_processor_names_the_cure(monkeypatch):
    monkeypatch.setattr(cuda, "cuda_works", lambda: False)
    with pytest.raises(ConfigError, match="set engine = 'auto'"):
        load_products("cuda")


@pytest.mark.parametrize("name", ["events", "abacus"])
def test_unknown_engine_is_named(name):
    with pytest.raises(ConfigError, match=f"{name}.* choose int8"):
        load_products(name)


def test_choosing_numpy_does_not_load_torch():
    code = (
        "import sys; from ainerd_bluesky.engines import load_products; "
        "load_products('numpy'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
