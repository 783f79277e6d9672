"""Frames out of compressed chunks: equal to plain h5py, and safe with damage."""

import gc
import struct

import h5py
import hdf5plugin
import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters import decode
from tiled_adapters.decode import iter_frames, read_frames

SHAPE = (19, 33, 71)  # no block and no group of eight elements is full


def bitshuffle_lz4():
    return hdf5plugin.Bitshuffle(nelems=0, cname="lz4")


@pytest.fixture
def frames(rng):
    return rng.poisson(0.3, SHAPE)


@pytest.fixture
def make_file(tmp_path, frames):
    def make(dtype="u2", shape=SHAPE, chunks=(1, 33, 71), compression=None):
        path = tmp_path / "frames.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset(
                "/entry/data/data",
                data=frames.astype(dtype).reshape(shape),
                chunks=chunks,
                compression=bitshuffle_lz4() if compression is None else compression,
            )
        return path

    return make


@pytest.fixture
def uses_own_decoder(monkeypatch):
    """Fail where HDF5 would be asked to read."""

    def fail(*_):
        raise AssertionError("HDF5 was asked to decode")

    monkeypatch.setattr(decode._Stack, "read", fail)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i8", ">u2", "f4"])
def test_decoded_frames_equal_plain_reading(make_file, frames, dtype, uses_own_decoder):
    with h5py.File(make_file(dtype)) as file:
        dataset = file["/entry/data/data"]
        blocks = list(iter_frames(dataset, 4))
    assert {block.dtype for block in blocks} == {np.dtype(dtype)}
    np.testing.assert_array_equal(np.concatenate(blocks), frames.astype(dtype))


@pytest.mark.parametrize(
    ("chunks", "compression"),
    [
        ((4, 33, 71), None),
        ((1, 16, 71), None),
        ((1, 33, 71), "gzip"),
        ((1, 33, 71), hdf5plugin.Bitshuffle(cname="zstd")),
        ((1, 33, 71), hdf5plugin.LZ4()),
    ],
    ids=["frames-a-chunk", "part-of-a-frame", "gzip", "zstd", "lz4-only"],
)
def test_other_files_are_read_the_plain_way(make_file, frames, chunks, compression):
    with h5py.File(make_file(chunks=chunks, compression=compression)) as file:
        assert not decode._Stack.of(file["/entry/data/data"]).is_bitshuffled
        read = np.concatenate(list(iter_frames(file["/entry/data/data"], 4)))
    np.testing.assert_array_equal(read, frames)


def test_missing_decoder_means_plain_reading(make_file, frames, monkeypatch):
    monkeypatch.setattr(decode, "_unpacker", lambda: None)
    with h5py.File(make_file()) as file:
        np.testing.assert_array_equal(
            read_frames(file["/entry/data/data"], 0, 19), frames
        )


@pytest.mark.parametrize(
    ("start", "stop", "lengths"),
    [(0, None, [8, 8, 3]), (3, 12, [8, 1]), (18, 40, [1]), (5, 5, [])],
)
def test_blocks_keep_to_the_range(make_file, frames, start, stop, lengths):
    with h5py.File(make_file()) as file:
        blocks = list(iter_frames(file["/entry/data/data"], 8, start, stop))
    assert [len(block) for block in blocks] == lengths
    if blocks:
        np.testing.assert_array_equal(np.concatenate(blocks), frames[start:stop])


@pytest.mark.parametrize(
    ("frames_ahead", "lengths"), [(0.5, [1] * 19), (3, [3] * 6 + [1]), (99, [16, 3])]
)
def test_large_blocks_come_in_parts_that_are_decoded_ahead(
    make_file, frames, monkeypatch, frames_ahead, lengths
):
    n_bytes = int(frames_ahead * 33 * 71 * 2)
    monkeypatch.setattr(decode, "_LARGEST_AHEAD", n_bytes)
    started = []
    start = decode._Decoder.start

    def record(decoder, first, last):
        started.append((first, last))
        return start(decoder, first, last)

    monkeypatch.setattr(decode._Decoder, "start", record)
    with h5py.File(make_file()) as file:
        blocks = []
        for block in iter_frames(file["/entry/data/data"], 16):
            blocks.append(block.copy())
            assert len(started) == min(len(blocks) + 1, len(lengths))
    assert [len(block) for block in blocks] == lengths
    np.testing.assert_array_equal(np.concatenate(blocks), frames)


def test_one_read_of_many_frames_brings_them_all(make_file, frames, monkeypatch):
    monkeypatch.setattr(decode, "_LARGEST_AHEAD", 3 * 33 * 71 * 2)
    with h5py.File(make_file()) as file:
        read = read_frames(file["/entry/data/data"], 1, 99)
        assert read_frames(file["/entry/data/data"], 5, 5).shape == (0, 33, 71)
    np.testing.assert_array_equal(read, frames[1:])


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [((1, *SHAPE), (1, 1, 33, 71)), ((19, 1, 33, 71), (1, 1, 33, 71))],
    ids=["one-event", "an-event-each"],
)
def test_axes_of_length_one_before_the_frames_do_not_count(
    make_file, frames, shape, chunks
):
    with h5py.File(make_file(shape=shape, chunks=chunks)) as file:
        read = np.concatenate(list(iter_frames(file["/entry/data/data"], 5)))
    np.testing.assert_array_equal(read, frames)


def test_kept_parts_of_a_block_are_not_written_over(make_file, frames):
    with h5py.File(make_file()) as file:
        kept = [block[1:2, ::2].T for block in iter_frames(file["/entry/data/data"], 2)]
    for index, part in enumerate(kept[:-1]):
        np.testing.assert_array_equal(
            part, frames[2 * index + 1 : 2 * index + 2, ::2].T
        )


def test_frames_that_were_never_written_have_the_fill_value(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset(
            "d", (5, 16, 16), "u2", chunks=(1, 16, 16), fillvalue=7, **bitshuffle_lz4()
        )
        dataset[1] = 3
        read = read_frames(dataset, 0, 5)
    assert read[:, 0, 0].tolist() == [7, 3, 7, 7, 7]


def test_frame_whose_filter_was_left_out_is_read(make_file, frames):
    path = make_file()
    with h5py.File(path, "a") as file:
        plain = frames[4].astype("u2").tobytes()
        file["/entry/data/data"].id.write_direct_chunk((4, 0, 0), plain, filter_mask=1)
        np.testing.assert_array_equal(
            read_frames(file["/entry/data/data"], 0, 19), frames
        )


def damaged(chunk, place):
    """Return a chunk that is wrong in one place."""
    match place:
        case "total":
            return struct.pack(">Q", 10**9) + chunk[8:]
        case "block":
            return chunk[:8] + struct.pack(">I", 0) + chunk[12:]
        case "odd-block":
            return chunk[:8] + struct.pack(">I", 24) + chunk[12:]
        case "length":
            return chunk[:12] + struct.pack(">I", 2**31) + chunk[16:]
        case "short":
            return chunk[:40]
        case _:  # payload
            return chunk[:16] + b"\xff" * (len(chunk) - 16)


@pytest.mark.parametrize(
    "place", ["total", "block", "odd-block", "length", "short", "payload"]
)
def test_damaged_frame_is_named(make_file, place):
    path = make_file()
    with h5py.File(path, "a") as file:
        dataset = file["/entry/data/data"]
        chunk = dataset.id.read_direct_chunk((7, 0, 0))[1]
        dataset.id.write_direct_chunk((7, 0, 0), damaged(chunk, place))
        message = r"frames.h5: /entry/data/data is damaged in frame 7"
        with pytest.raises(FileFormatError, match=message):
            list(iter_frames(dataset, 4))


def test_damaged_frame_is_named_where_hdf5_reads(make_file):
    path = make_file(compression="gzip")
    with h5py.File(path, "a") as file:
        dataset = file["/entry/data/data"]
        dataset.id.write_direct_chunk((7, 0, 0), b"no zlib stream")
        with pytest.raises(FileFormatError, match="damaged in frame 7"):
            list(iter_frames(dataset, 4))


def test_damage_later_on_does_not_take_the_frames_before(make_file, frames):
    path = make_file()
    with h5py.File(path, "a") as file:
        file["/entry/data/data"].id.write_direct_chunk((9, 0, 0), b"x" * 99)
        blocks = iter_frames(file["/entry/data/data"], 4)
        np.testing.assert_array_equal(next(blocks), frames[:4])
        np.testing.assert_array_equal(next(blocks), frames[4:8])
        with pytest.raises(FileFormatError):
            next(blocks)


def test_reader_that_stops_early_leaves_no_thread(make_file):
    import threading

    with h5py.File(make_file()) as file:
        blocks = iter_frames(file["/entry/data/data"], 2)
        next(blocks)
        del blocks
        gc.collect()
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]


def test_absurd_shape_is_refused_before_memory_is_taken(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset(
            "d", (10**6, 4000, 4000), "u4", chunks=(1, 4000, 4000), **bitshuffle_lz4()
        )
        with pytest.raises(FileFormatError, match=r"claims 6.4e\+09 bytes at once"):
            read_frames(dataset, 0, 100)
        with pytest.raises(FileFormatError, match=r"claims 6.4e\+09 bytes at once"):
            next(iter_frames(dataset, 100))


def test_billions_of_frames_are_not_counted_out(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("d", (10**15, 8, 8), "u2", chunks=(1, 8, 8))
        assert next(iter_frames(dataset, 3)).shape == (3, 8, 8)
