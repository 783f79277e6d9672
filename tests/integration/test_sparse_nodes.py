"""Frames that a server keeps as sparse arrays, as the CHX sandbox does."""

import itertools
import warnings

import numpy as np
import pytest
from tiled.client import Context, from_context
from tiled.structures.array import BuiltinDtype
from tiled.structures.data_source import DataSource
from tiled.structures.sparse import COOStructure

from ainerd_bluesky.errors import FileFormatError, FrameStackError
from tiled_adapters.formats import read_sparse_node
from tiled_adapters.server import server_config
from tiled_adapters.serving import build_app

pytestmark = pytest.mark.integration
sparse = pytest.importorskip("sparse")

FRAMES = np.random.default_rng(0).poisson(0.3, (1, 7, 4, 5)).astype("u2")
FRAMES[:, 4:] = 0
CHUNKS = ((1,), (4, 3), (4,), (3, 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A container of a server in this process."""
    with warnings.catch_warnings():
        # Tiled warns about its own configuration objects.
        warnings.simplefilter("ignore")
        config = server_config(tmp_path_factory.mktemp("server"), api_key="abc123")
        with Context.from_app(build_app(config), api_key="abc123") as context:
            yield from_context(context)["processed"]


@pytest.fixture
def write(folder):
    """Write frames block by block, as `sparsify` of chx-workflows does."""

    def write(frames=FRAMES, chunks=CHUNKS, *, skip=(), **metadata):
        structure = COOStructure(
            shape=frames.shape,
            chunks=chunks,
            data_type=BuiltinDtype.from_numpy_dtype(frames.dtype),
        )
        source = DataSource(structure_family="sparse", structure=structure)
        node = folder.new("sparse", [source], metadata=metadata)
        edges = [np.cumsum((0, *sizes)) for sizes in chunks]
        for block in itertools.product(*(range(len(sizes)) for sizes in chunks)):
            places = zip(edges, block, strict=True)
            part = sparse.COO(frames[tuple(slice(e[i], e[i + 1]) for e, i in places)])
            if block not in skip:
                node.write_block(part.coords, part.data, block)
        return node

    return write


@pytest.mark.parametrize("block_frames", [1, 3, 100])
def test_frames_are_those_that_were_written(write, block_frames):
    source = read_sparse_node(write())
    assert source.shape == (7, 4, 5)
    found = np.concatenate(list(source.blocks(block_frames)))
    np.testing.assert_array_equal(found, FRAMES[0])


def test_events_are_in_order_of_frames(write):
    source = read_sparse_node(write())
    events = [np.concatenate(column) for column in zip(*source.events(3), strict=True)]
    assert (np.diff(events[0]) >= 0).all()
    assert events[2].sum() == FRAMES.sum()


def test_what_the_node_tells_is_kept(write):
    node = write(frame_time=0.01, masks_names=["chip_mask"], uid="abc", other=3)
    source = read_sparse_node(node)
    assert source.frame_time == 0.01
    assert source.metadata == {"masks_names": ["chip_mask"], "uid": "abc"}


def test_events_of_one_frame_each_are_a_series(write):
    frames = FRAMES.transpose(1, 0, 2, 3)
    source = read_sparse_node(write(frames, ((4, 3), (1,), (4,), (5,))))
    np.testing.assert_array_equal(np.concatenate(list(source.blocks(2))), FRAMES[0])


def test_events_of_several_frames_are_no_series(write):
    frames = np.concatenate([FRAMES, FRAMES])
    with pytest.raises(FrameStackError, match="2 events of 7 frames"):
        read_sparse_node(write(frames, ((2,), (7,), (4,), (5,))))


def test_single_frame_is_no_series(write):
    with pytest.raises(FileFormatError, match="no frames"):
        read_sparse_node(write(FRAMES[0, 0], ((4,), (5,))))


def test_block_that_was_never_written_is_named(write):
    source = read_sparse_node(write(skip={(0, 1, 0, 1)}))
    assert next(source.events(4)).counts.sum() == FRAMES.sum()
    with pytest.raises(FileFormatError, match=r"block \(0, 1, 0, 1\)"):
        list(source.events(4))
