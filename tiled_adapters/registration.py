"""Show a file of an archive in the catalog, where it lies."""

from pathlib import Path

from tiled.client.array import ArrayClient
from tiled.client.container import Container
from tiled.structures.core import StructureFamily
from tiled.structures.data_source import Asset, DataSource, Management

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.files import open_hdf5
from tiled_adapters.formats import aps_8idi, eiger
from tiled_adapters.formats.adapters import FileArrayAdapter
from tiled_adapters.formats.aps_8idi import Aps8IdiFramesAdapter, Aps8IdiResultAdapter
from tiled_adapters.formats.eiger import EigerAdapter
from tiled_adapters.formats.two_time_files import TwoTimeFileAdapter

__all__ = ["register_file"]

_SOURCE = "source"


def register_file(
    results: Container,
    run_uid: str,
    path: Path,
    *,
    dataset: str | None = None,
    is_raw: bool = False,
) -> ArrayClient:
    """Register the file that a published result was made of; nothing is copied.

    The node is `<results>/<run_uid>/source`.

    Parameters
    ----------
    results : Container
        `/processed/xpcs` of a server.
    run_uid : str
        Name under which the file was published.
    path : Path
        The file.
    dataset : str, optional
        Path inside the file, where the format leaves it open.
    is_raw : bool
        Whether the file holds detector frames, not two-time maps.

    Returns
    -------
    ArrayClient
        The new node, or the one that is there.

    Raises
    ------
    FileFormatError
        If the server may not read the file; it is not registered then.
    """
    run = results[run_uid]
    if _SOURCE in list(run):
        return run[_SOURCE]
    uri = path.resolve().as_uri()
    adapter = (
        _frames_adapter(path, uri) if is_raw else _maps_adapter(path, uri, dataset)
    )
    source = DataSource(
        structure_family=StructureFamily.array,
        structure=adapter.structure(),
        mimetype=adapter.mimetype,
        parameters={"dataset": dataset} if dataset else {},
        # Without a number, subscribers drop the news of the node.
        assets=[Asset(uri, is_directory=False, parameter="data_uri", num=0)],
        management=Management.external,
    )
    node = run.new(
        StructureFamily.array,
        [source],
        key=_SOURCE,
        metadata=adapter.metadata(),
        specs=adapter.specs,
    )
    if not _is_served(node):
        run.delete_contents(_SOURCE)
        raise FileFormatError(
            f"the server may not read {path}; start it with "
            f"`ainerd serve --readable {path.resolve().parent}`"
        )
    return node


def _is_served(node: ArrayClient) -> bool:
    """Ask for one element: a server finds out late what it may not read."""
    # Once, by plain HTTP: the client would try a refusal again for most of a minute.
    answer = node.context.http_client.get(
        node.item["links"]["full"],
        params={"slice": ",".join(["0:1"] * node.ndim)},
        headers={"Accept": "application/octet-stream"},
    )
    return bool(answer.is_success)


def _maps_adapter(path: Path, uri: str, dataset: str | None) -> FileArrayAdapter:
    if dataset is None and path.suffix not in {".npy", ".npz"}:
        with open_hdf5(path) as file:
            if aps_8idi.is_result(file):
                return Aps8IdiResultAdapter.from_uris(uri)
    return TwoTimeFileAdapter.from_uris(uri, dataset)


def _frames_adapter(path: Path, uri: str) -> FileArrayAdapter:
    with open_hdf5(path) as file:
        is_master, is_raw = eiger.is_master(file), aps_8idi.is_raw(file)
    if is_master:
        return EigerAdapter.from_uris(uri)
    if is_raw:
        return Aps8IdiFramesAdapter.from_uris(uri)
    raise FileFormatError(f"{path}: frames of this layout are not served in place")
