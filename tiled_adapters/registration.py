"""Show a file of an archive in the catalog, where it lies."""

from pathlib import Path
from shlex import quote

from tiled.client.array import ArrayClient
from tiled.client.container import Container
from tiled.structures.core import StructureFamily
from tiled.structures.data_source import Asset, DataSource, Management

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.files import open_hdf5
from tiled_adapters.formats.adapters import FileArrayAdapter
from tiled_adapters.formats.one_time import (
    ONE_TIME_ARRAYS,
    OneTimeAdapter,
    holds_one_time,
)
from tiled_adapters.formats.readers import frames_adapter, maps_adapter

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

    The node is `<results>/<run_uid>/source`. Where the file holds g2 beside its maps,
    `source_g2`, `source_g2_err` and `source_lags` show it.

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
    there = set(run)
    if _SOURCE in there:
        return run[_SOURCE]
    uri = path.resolve().as_uri()
    find = frames_adapter if is_raw else maps_adapter
    node = _register(run, _SOURCE, uri, find(path, dataset), dataset)
    if not _is_served(node):
        run.delete_contents(_SOURCE)
        raise FileFormatError(
            f"the server may not read {path}; start it with "
            f"`ainerd serve --readable {quote(str(path.resolve().parent))}`"
        )
    for name in _one_time_arrays(path, dataset, is_raw=is_raw):
        if f"{_SOURCE}_{name}" not in there:
            _register(run, f"{_SOURCE}_{name}", uri, OneTimeAdapter, name)
    return node


def _register(
    run: Container,
    key: str,
    uri: str,
    adapter_class: type[FileArrayAdapter],
    dataset: str | None,
) -> ArrayClient:
    """Make a node that shows an array of a file."""
    adapter = adapter_class.from_uris(uri, dataset)
    source = DataSource(
        structure_family=StructureFamily.array,
        structure=adapter.structure(),
        mimetype=adapter.mimetype,
        parameters={"dataset": dataset} if dataset else {},
        # Without a number, subscribers drop the news of the node.
        assets=[Asset(uri, is_directory=False, parameter="data_uri", num=0)],
        management=Management.external,
    )
    return run.new(
        StructureFamily.array,
        [source],
        key=key,
        metadata=adapter.metadata(),
        specs=adapter.specs,
    )


def _one_time_arrays(
    path: Path, dataset: str | None, *, is_raw: bool
) -> tuple[str, ...]:
    """Return the names of the arrays of g2 that a file holds."""
    if is_raw or dataset is not None or path.suffix in {".npy", ".npz"}:
        return ()
    with open_hdf5(path) as file:
        return ONE_TIME_ARRAYS if holds_one_time(file) else ()


def _is_served(node: ArrayClient) -> bool:
    """Ask for one element: a server finds out late what it may not read."""
    # Once, by plain HTTP: the client would try a refusal again for most of a minute.
    answer = node.context.http_client.get(
        node.item["links"]["full"],
        params={"slice": ",".join(["0:1"] * node.ndim)},
        headers={"Accept": "application/octet-stream"},
    )
    return bool(answer.is_success)
