"""Files in the formats of others, written from the published layouts alone.

Nothing here uses the readers under test, nor shares a constant with them.
"""

import struct
from pathlib import Path

import h5py
import numpy as np

IMM_HEADER = "ii32s16si16siiiiiiiiiiiiiddiiIiiI" + "40sf" * 10 + "ffiiifc295s84s12s"
CMP_HEADER = "@16s8d7I916x"


def sparse_frames(n_frames, shape, n_events=200, seed=0, dtype="u2"):
    """Return frames that are almost empty."""
    rng = np.random.default_rng(seed)
    frames = np.zeros((n_frames, *shape), dtype)
    flat = frames.reshape(-1)
    flat[rng.choice(flat.size, min(n_events, flat.size // 2), replace=False)] = (
        rng.integers(1, 9, min(n_events, flat.size // 2))
    )
    return frames


def write_rigaku(path, frames, pixel_offset=0):
    """Words of 64 bits: count in 0-11, pixel in 16-36, frame in 40-63."""
    frame, *position = np.nonzero(frames)
    pixel = np.ravel_multi_index(position, frames.shape[1:]) + pixel_offset
    counts = frames[(frame, *position)]
    words = [
        (int(t) << 40) | (int(p) << 16) | int(n)
        for t, p, n in zip(frame, pixel, counts, strict=True)
    ]
    Path(path).write_bytes(struct.pack(f"<{len(words)}Q", *words))
    return Path(path)


def write_rigaku_3m(folder, name, frames, pixel_offset=0):
    """Six modules of 512 x 1024, two in a row, 70 rows and 52 columns apart."""
    for place, number in enumerate((5, 0, 4, 1, 3, 2)):
        row, col = (place // 2) * 582, (place % 2) * 1076
        module = frames[:, row : row + 512, col : col + 1024]
        write_rigaku(folder / f"{name}.bin.{number:03d}", module, pixel_offset)
    return folder / f"{name}.bin.000"


def imm_header(shape, compression, dlen, **fields):
    values = {
        1: compression,
        14: shape[0],
        15: shape[1],
        16: 2,
        19: fields.get("elapsed", 0.0),
        20: fields.get("preset", 0.005),
        23: dlen,
    }
    kinds = struct.unpack(IMM_HEADER, bytes(1024))
    return struct.pack(
        IMM_HEADER, *(values.get(i, kind) for i, kind in enumerate(kinds))
    )


def write_imm(path, frames, *, is_sparse):
    """A header of 1024 bytes a frame; compression 6 is sparse."""
    with Path(path).open("wb") as file:
        for frame in frames:
            pixels = np.flatnonzero(frame).astype("<u4")
            if is_sparse:
                file.write(imm_header(frame.shape, 6, len(pixels)))
                file.write(pixels.tobytes())
                file.write(frame.ravel()[pixels].astype("<u2").tobytes())
            else:
                file.write(imm_header(frame.shape, 0, frame.size))
                file.write(frame.astype("<u2").tobytes())
    return Path(path)


def cmp_header(shape, n_bytes, magic=b"Version-COMP0001"):
    n_rows, n_cols = shape
    measured = (12.5, 20.5, 0.009, 5.0, 0.01, 1.24, 75e-6, 75e-6)
    roi = (0, n_cols, 0, n_rows)
    return struct.pack(CMP_HEADER, magic, *measured, n_bytes, n_cols, n_rows, *roi)


def write_cmp(path, frames, n_bytes=2):
    """Per frame: how many pixels, where they are, and what they hold."""
    letter = {2: "H", 4: "I", 8: "d"}[n_bytes]
    with Path(path).open("wb") as file:
        file.write(cmp_header(frames.shape[1:], n_bytes))
        for frame in frames:
            pixels = np.flatnonzero(frame)
            file.write(struct.pack("<I", len(pixels)))
            file.write(struct.pack(f"<{len(pixels)}i", *pixels))
            file.write(struct.pack(f"<{len(pixels)}{letter}", *frame.ravel()[pixels]))
    return Path(path)


def write_scan(file, scan, frames, *, period=0.01):
    """One scan of a BLISS file, frames inside."""
    group = file.create_group(scan)
    group["title"] = "mtimescan 0.01 7"
    group["start_time"] = "2026-01-01T00:00:00"
    group["measurement/fast_timer_period"] = np.full(len(frames), period)
    group["measurement/fast_timer_trig"] = period * np.arange(len(frames))
    group["instrument/positioners/monoe"] = 8.1
    group["instrument/positioners/delcoup"] = np.float64(np.nan)
    group["instrument/eiger4m/data"] = frames
    group["measurement/eiger4m"] = h5py.SoftLink(f"/{scan}/instrument/eiger4m/data")


def write_bliss(path, frames, scans=("1.1",)):
    with h5py.File(path, "w") as file:
        for scan in scans:
            write_scan(file, scan, frames)
    return Path(path)


def write_virtual_bliss(path, frames, sizes=(4, 3), room=6):
    """A BLISS file whose frames lie in files of LIMA, with room to spare."""
    folder = path.parent / "scan0001"
    folder.mkdir()
    layout = h5py.VirtualLayout(frames.shape, frames.dtype)
    first = 0
    for number, size in enumerate(sizes):
        name = f"scan0001/eiger4m_{number:04d}.h5"
        part = np.zeros((room, *frames.shape[1:]), frames.dtype)
        part[:size] = frames[first : first + size]
        with h5py.File(path.parent / name, "w") as file:
            file["/entry_0000/measurement/data"] = part
        source = h5py.VirtualSource(name, "/entry_0000/measurement/data", part.shape)
        layout[first : first + size] = source[:size]
        first += size
    with h5py.File(path, "w") as file:
        write_scan(file, "1.1", frames)
        del file["/1.1/instrument/eiger4m/data"]
        file.create_virtual_dataset("/1.1/instrument/eiger4m/data", layout)
    return Path(path)


def write_sparse_frames(folder, frames, per_file, *, name="eiger4m_v2", mask=None):
    """Compressed rows: pointers of the frames, pixels, intensities; many files."""
    folder.mkdir(exist_ok=True)
    starts = range(0, len(frames), per_file)
    for number, start in enumerate(starts):
        part = frames[start : start + per_file].reshape(-1, frames[0].size)
        frame, pixel = np.nonzero(part)
        counts = np.bincount(frame, minlength=len(part))
        path = folder / f"{name}_sparse_frame_0_{number:05d}.h5"
        with h5py.File(path, "w") as file:
            group = file.create_group("/entry_0000/measurement/data")
            group["frame_ptr"] = np.concatenate(([0], np.cumsum(counts))).astype("u4")
            group["index"] = pixel.astype("u4")
            group["intensity"] = part[frame, pixel]
            if mask is not None:
                group["mask"] = mask
    return folder / f"{name}_sparse_frame_0_00000.h5"


def write_legacy(path, maps, bins=None, *, n_q_bins=4, name="g2"):
    """Maps below /exchange/C2T_all, upper triangles; q and phi as rows."""
    with h5py.File(path, "w") as file:
        file["xpcs/dqlist"] = np.arange(1, n_q_bins + 1)[None] / 100
        file["xpcs/dphilist"] = np.arange(1, n_q_bins + 1)[None] * 10.0
        file["xpcs/output_data"] = "/exchange"
        file["xpcs/stride_frames"] = np.array([[2]], "u8")
        file["xpcs/avg_frames"] = np.array([[3]], "u8")
        file["xpcs/Version"] = "1.0"
        detector = file.create_group("measurement/instrument/detector")
        detector["exposure_period"] = np.array([[0.5]])
        detector["exposure_time"] = np.array([[0.4]])
        detector["manufacturer"] = "LAMBDA"
        file["measurement/instrument/source_begin/energy"] = np.array([[11.0]])
        for number, full in zip(bins or range(1, len(maps) + 1), maps, strict=True):
            file[f"exchange/C2T_all/{name}_{number:05d}"] = np.triu(full)
        file["exchange/tau"] = np.array([[1, 2, 4]])
        file["exchange/norm-0-g2"] = np.full((3, n_q_bins), 1.5, "f4")
        file["exchange/norm-0-stderr"] = np.full((3, n_q_bins), 0.1, "f4")
    return Path(path)


def write_chx_result(path, maps):
    """Flat datasets, the region last; settings as attributes."""
    with h5py.File(path, "w") as file:
        file["g12b"] = np.moveaxis(maps, 0, -1).astype("f8")
        file["tausb"] = 0.02 * np.arange(maps.shape[-1] - 1)
        file["taus"] = 0.02 * np.arange(5)
        file["g2"] = np.ones((5, len(maps)))
        bins = file.create_dataset("qval_dict", (1,), "i4")
        for index in range(len(maps)):
            bins.attrs[str(index)] = [(index + 1) / 100, 45.0]
        metadata = file.create_dataset("md", (1,), "i4")
        metadata.attrs.update({"uid": "abc", "sample": "gel", "scan_id": 12})
    return Path(path)


def write_curves(path, n_lags=7, n_q_bins=4):
    """The multi-tau part of a boost-corr result, lags as a column."""
    rng = np.random.default_rng(3)
    with h5py.File(path, "a") as file:
        group = file.require_group("xpcs/multitau")
        group["delay_list"] = 2 ** np.arange(n_lags)[:, None]
        group["normalized_g2"] = rng.random((n_lags, n_q_bins), "f4")
        group["normalized_g2_err"] = rng.random((n_lags, n_q_bins), "f4")
        group["config/avg_frame"] = 3
    return Path(path)
