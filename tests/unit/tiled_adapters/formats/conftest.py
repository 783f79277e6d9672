"""Small files in real formats, and real ones where they are."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from ainerd_bluesky.xpcs.data.roi import QPartition
from tiled_adapters.formats import write_partition

SHARED = Path(__file__).parents[5] / "shared/data/formats"


@pytest.fixture
def real_file() -> Callable[[str], Path]:
    """Return a file of the shared collection, or skip the test."""

    def find(name: str) -> Path:
        if not (SHARED / name).exists():
            pytest.skip(f"no {name} in the shared collection")
        return SHARED / name

    return find


@pytest.fixture
def make_result(tmp_path: Path) -> Callable[..., Path]:
    """Write a result as boost-corr does: upper triangles, bins by order."""

    def make(processed_bins=(2, 4), n_frames=6) -> Path:
        path = tmp_path / "sample_results.hdf"
        roi_map = np.repeat(np.arange(1, 5, dtype=np.int32), 4).reshape(4, 4)
        partition = QPartition(roi_map, np.arange(1, 5) / 100, np.full(4, np.nan))
        write_partition(path, partition)
        with h5py.File(path, "a") as file:
            file.move("qmap", "xpcs/qmap")
            for index, q_bin in enumerate(processed_bins, start=1):
                full = np.arange(n_frames**2, dtype="f4").reshape(n_frames, n_frames)
                name = f"xpcs/twotime/correlation_map/c2_{index:05d}"
                file.create_dataset(
                    name, data=np.triu(full + full.T) + q_bin, compression="lzf"
                )
                file[name][:] = np.triu(file[name][:])
            file["xpcs/twotime/processed_bins"] = np.array(processed_bins)
            file["xpcs/twotime/config/stride_frame"] = 2
            file["xpcs/twotime/config/avg_frame"] = 3
            file["entry/instrument/detector_1/frame_time"] = np.full((1, 1), 0.5, "f4")
            file["entry/sample/short_description"] = "gel"
        return path

    return make


@pytest.fixture
def make_eiger(tmp_path: Path) -> Callable[..., Path]:
    """Write an Eiger master with two data files of three frames."""

    def make(link_to: str | None = None) -> Path:
        master = tmp_path / "run_master.h5"
        frames = np.arange(6 * 4 * 5, dtype="u4").reshape(6, 4, 5)
        frames[:, 0, 0] = 2**32 - 1
        with h5py.File(master, "w") as file:
            for index in (1, 2):
                name = f"run_data_{index:06d}.h5"
                with h5py.File(tmp_path / name, "w") as data:
                    data["/entry/data/data"] = frames[3 * index - 3 : 3 * index]
                file[f"/entry/data/data_{index:06d}"] = h5py.ExternalLink(
                    link_to or name, "/entry/data/data"
                )
            mask = np.zeros((4, 5), "u4")
            mask[0, 0] = 1
            file["/entry/instrument/detector/detectorSpecific/pixel_mask"] = mask
            file["/entry/instrument/detector/frame_time"] = 0.25
        return master

    return make
