"""What every adapter of the suite must keep: one bargain, whatever the file."""

import json
from dataclasses import dataclass, field
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from tiled.ndslice import NDBlock, NDSlice
from tiled.structures.data_source import Asset, DataSource, Management

from ainerd_bluesky.errors import FileFormatError
from ainerd_bluesky.xpcs.data.roi import QPartition
from ainerd_bluesky.xpcs.two_time.maps import two_time_map
from tests import format_writers as writers
from tiled_adapters.formats import write_partition
from tiled_adapters.formats.adapters import array_structure
from tiled_adapters.formats.aps_8idi import Aps8IdiResultAdapter
from tiled_adapters.formats.one_time import OneTimeAdapter
from tiled_adapters.formats.readers import frames_adapter, maps_adapter
from tiled_adapters.guard import OWN_ADAPTERS
from tiled_adapters.paths import local_path
from tiled_adapters.two_time import TwoTimeAdapter

FRAMES = np.random.default_rng(0).poisson(3, (7, 4, 5)).astype("uint16")


@dataclass
class Case:
    """A file in a format, and the array that stands in it."""

    adapter: Any
    assets: list[Asset]
    array: np.ndarray
    parameters: dict[str, Any] = field(default_factory=dict)
    structure: Any = None


def _asset(path, parameter="data_uri"):
    return Asset(path.as_uri(), is_directory=False, parameter=parameter, num=0)


def _maps_npy(adapter, folder):
    array = np.random.default_rng(1).random((3, 7, 7)).astype("f4")
    np.save(folder / "maps.npy", array)
    return Case(adapter, [_asset(folder / "maps.npy")], array)


def _result(adapter, folder):
    path = folder / "x_results.hdf"
    roi_map = np.repeat(np.arange(1, 5), 4).reshape(4, 4)
    partition = QPartition(roi_map, np.arange(1, 5) / 100, np.full(4, np.nan))
    write_partition(path, partition)
    maps = np.random.default_rng(2).random((2, 7, 7)).astype("f4")
    maps += maps.transpose(0, 2, 1)
    with h5py.File(path, "a") as file:
        file.move("qmap", "xpcs/qmap")
        for index, two_time in enumerate(maps, start=1):
            name = f"xpcs/twotime/correlation_map/c2_{index:05d}"
            file[name] = np.triu(two_time)
        file["xpcs/twotime/processed_bins"] = [1, 3]
    return Case(adapter, [_asset(path)], maps)


def _frames(adapter, folder):
    with h5py.File(folder / "run.h5", "w") as file:
        file["/entry/data/data"] = FRAMES
    return Case(adapter, [_asset(folder / "run.h5")], FRAMES)


def _eiger(adapter, folder):
    with h5py.File(folder / "run_master.h5", "w") as master:
        for index, part in enumerate((FRAMES[:3], FRAMES[3:]), start=1):
            name = f"run_data_{index:06d}.h5"
            with h5py.File(folder / name, "w") as file:
                file["/entry/data/data"] = part
            link = h5py.ExternalLink(name, "/entry/data/data")
            master[f"/entry/data/data_{index:06d}"] = link
    return Case(adapter, [_asset(folder / "run_master.h5")], FRAMES)


def _derived(adapter, folder):
    frames = _frames(adapter, folder).assets
    roi_map = np.ones((4, 5), np.int32)
    roi_map[2:] = 2
    partition = QPartition(roi_map, np.array([0.1, 0.2]), np.full(2, np.nan))
    write_partition(folder / "q.h5", partition)
    array = two_time_map(FRAMES[:, roi_map == 2])
    structure = adapter.structure_for(len(FRAMES))
    parameters = {"dataset": "/entry/data/data", "q_bin": 2}
    assets = [*frames, _asset(folder / "q.h5", "partition_uri")]
    return Case(adapter, assets, array, parameters, structure)


def _legacy(adapter, folder):
    maps = _symmetric_maps(2)
    return Case(adapter, [_asset(writers.write_legacy(folder / "x.hdf", maps))], maps)


def _chx_result(adapter, folder):
    maps = _symmetric_maps(3)
    return Case(
        adapter, [_asset(writers.write_chx_result(folder / "x.h5", maps))], maps
    )


def _one_time(adapter, folder):
    path = _path(_result(Aps8IdiResultAdapter, folder))
    with h5py.File(writers.write_curves(path)) as file:
        array = file["xpcs/multitau/normalized_g2"][:].astype("f8")
    return Case(adapter, [_asset(path)], array, {"dataset": "g2"})


def _rigaku(adapter, folder):
    frames = writers.sparse_frames(4, (512, 1024))
    frames[-1, 3, 4] = 1
    return Case(
        adapter, [_asset(writers.write_rigaku(folder / "x.bin", frames))], frames
    )


def _rigaku_3m(adapter, folder):
    frames = np.zeros((3, 1676, 2100), "u2")
    for place in range(6):
        row, col = place // 2 * 582, place % 2 * 1076
        module = writers.sparse_frames(3, (512, 1024), seed=place)
        frames[:, row : row + 512, col : col + 1024] = module
    frames[-1, 3, 4] = 1
    path = writers.write_rigaku_3m(folder, "x", frames, pixel_offset=1024 * 1024)
    return Case(adapter, [_asset(path)], frames)


def _imm(adapter, folder):
    path = writers.write_imm(folder / "x.imm", FRAMES, is_sparse=True)
    return Case(adapter, [_asset(path)], FRAMES)


def _cmp(adapter, folder):
    return Case(adapter, [_asset(writers.write_cmp(folder / "x.cmp", FRAMES))], FRAMES)


def _bliss(adapter, folder):
    path = writers.write_virtual_bliss(folder / "x.h5", FRAMES)
    return Case(adapter, [_asset(path)], FRAMES)


def _sparse_frames(adapter, folder):
    mask = np.zeros((4, 5))
    path = writers.write_sparse_frames(folder / "scan0001", FRAMES, 3, mask=mask)
    return Case(adapter, [_asset(path)], FRAMES)


def _stack(adapter, folder):
    with h5py.File(folder / "x.h5", "w") as file:
        file["a"] = file["b"] = FRAMES
    return Case(adapter, [_asset(folder / "x.h5")], FRAMES, {"dataset": "b"})


def _symmetric_maps(n_q_bins):
    maps = np.random.default_rng(2).random((n_q_bins, 7, 7)).astype("f4")
    return maps + maps.transpose(0, 2, 1)


def _path(case):
    return local_path(case.assets[0].data_uri)


_MAKERS = {
    "Aps8IdiResultAdapter": _result,
    "Aps8IdiFramesAdapter": _frames,
    "Aps8IdiLegacyAdapter": _legacy,
    "BlissAdapter": _bliss,
    "ChxResultAdapter": _chx_result,
    "CmpAdapter": _cmp,
    "EigerAdapter": _eiger,
    "ImmAdapter": _imm,
    "OneTimeAdapter": _one_time,
    "Rigaku3mAdapter": _rigaku_3m,
    "Rigaku500kAdapter": _rigaku,
    "SparseFramesAdapter": _sparse_frames,
    "StackAdapter": _stack,
    "TwoTimeFileAdapter": _maps_npy,
    "TwoTimeAdapter": _derived,
}


@pytest.fixture(params=OWN_ADAPTERS, ids=lambda name: name.partition(":")[2])
def case(request, tmp_path):
    module, _, name = request.param.partition(":")
    return _MAKERS[name](getattr(import_module(module), name), tmp_path)


@pytest.fixture
def registered(case):
    """As it is made when a file is registered."""
    if case.structure is not None:
        pytest.skip("derived: registered by a command of its own")
    return case.adapter.from_uris(case.assets[0].data_uri, **case.parameters)


@pytest.fixture
def adapter(case):
    """As the server makes it, from what a registration has stored."""
    structure = case.structure
    if structure is None:
        uri = case.assets[0].data_uri
        structure = case.adapter.from_uris(uri, **case.parameters).structure()
    return _serve(case, structure)


def _serve(case, structure):
    source = DataSource(
        structure_family="array",
        structure=structure,
        mimetype=case.adapter.mimetype,
        parameters=case.parameters,
        assets=case.assets,
        management=Management.external,
    )
    node = SimpleNamespace(metadata_={"a": 1}, specs=[])
    return case.adapter.from_catalog(source, node, **case.parameters)


def test_structure_tells_shape_and_type(case, adapter):
    structure = adapter.structure()
    assert structure.shape == case.array.shape
    assert structure.data_type.to_numpy_dtype() == case.array.dtype
    assert [sum(sizes) for sizes in structure.chunks] == list(case.array.shape)


def test_whole_array_is_read(case, adapter):
    np.testing.assert_allclose(adapter.read(), case.array, rtol=1e-6)


@pytest.mark.parametrize(
    "selection",
    [
        (0,),
        (-1,),
        (slice(1, 2),),
        (slice(None, None, 2),),
        (slice(None, None, -1),),
        (slice(0, 0),),
        (Ellipsis, 2),
        (1, slice(1, 3)),
        (slice(0, 2), slice(None, None, -2)),
        (0, 1),
    ],
    ids=str,
)
def test_part_is_that_part_of_the_whole(case, adapter, selection):
    part = adapter.read(NDSlice(*selection))
    np.testing.assert_allclose(part, case.array[selection], rtol=1e-6)


def test_single_element_is_a_scalar(case, adapter):
    index = (1,) * case.array.ndim
    element = adapter.read(NDSlice(*index))
    assert element.shape == ()
    assert element == pytest.approx(case.array[index])


def test_blocks_make_up_the_whole(case, adapter):
    chunks = adapter.structure().chunks
    whole = np.empty_like(case.array)
    for index in np.ndindex(*(len(sizes) for sizes in chunks)):
        block = NDBlock(*index)
        whole[tuple(block.slice_from_chunks(chunks))] = adapter.read_block(block)
    np.testing.assert_allclose(whole, case.array, rtol=1e-6)


def test_part_of_a_block_is_that_part(case, adapter):
    block = NDBlock(*(0,) * case.array.ndim)
    whole = adapter.read_block(block)
    part = adapter.read_block(block, NDSlice(..., slice(1, 3)))
    np.testing.assert_array_equal(part, whole[..., 1:3])


def test_metadata_come_from_the_catalog(adapter):
    assert adapter.metadata() == {"a": 1}


def test_registration_tells_spec_and_plain_metadata(registered):
    assert registered.specs[0].name.startswith("XPCS")
    metadata = registered.metadata()
    assert json.loads(json.dumps(metadata, allow_nan=False)) == metadata


def test_registration_and_server_read_the_same(registered, adapter):
    np.testing.assert_array_equal(registered.read(), adapter.read())


@pytest.mark.parametrize("index", [10**6, -(10**6)])
def test_index_that_is_not_there_is_refused(adapter, index):
    with pytest.raises((IndexError, ValueError)):
        adapter.read(NDSlice(index))


def test_file_that_lost_entries_since_is_refused(case):
    if case.structure is not None:
        pytest.skip("derived: a map of fewer frames is another map")
    longer = array_structure(
        (len(case.array) + 3, *case.array.shape[1:]),
        case.array.dtype,
        ("a", "b", "c")[: case.array.ndim],
    )
    with pytest.raises(FileFormatError, match="registered"):
        _serve(case, longer).read()


def test_file_is_recognised(case, registered):
    (kind,) = [spec.name for spec in registered.specs]
    find = {
        "XPCSFrames": frames_adapter,
        "XPCSTwoTime": maps_adapter,
        "XPCSOneTime": lambda *_: OneTimeAdapter,
    }[kind]
    assert find(_path(case), case.parameters.get("dataset")) is case.adapter


def test_every_adapter_has_its_own_mimetype():
    adapters = [
        getattr(import_module(name.partition(":")[0]), name.partition(":")[2])
        for name in OWN_ADAPTERS
    ]
    assert len({adapter.mimetype for adapter in adapters}) == len(adapters)
    assert TwoTimeAdapter in adapters
