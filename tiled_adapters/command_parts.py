"""What commands that work on a catalog of results have in common."""

import os
from collections.abc import Iterable
from contextlib import closing, contextmanager
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tiled.client.container import Container

    from tiled_adapters.client import XPCSResultsCatalog

__all__ = [
    "DEFAULT_PATH",
    "DEFAULT_URI",
    "PROCESS_AGAIN",
    "ForceOption",
    "JsonOption",
    "LabelOption",
    "ModelOption",
    "PathOption",
    "SampleOption",
    "UriOption",
    "WhoOption",
    "open_results",
    "short_uids",
]

DEFAULT_URI = "http://127.0.0.1:8000"
"""Where `ainerd serve` listens unless told otherwise."""
DEFAULT_PATH = "processed/xpcs"
"""Where a server of the suite keeps results."""
PROCESS_AGAIN = "process them again (docs/how-to/model.md, Process old runs again)"
"""The cure where results are of another model."""
_SHORTEST_UID = 8

UriOption: TypeAlias = Annotated[str, typer.Option(help="Tiled URI or profile name.")]
PathOption: TypeAlias = Annotated[
    str, typer.Option(help="Container of results on the server.")
]
LabelOption: TypeAlias = Annotated[
    str | None, typer.Option(help="Only runs with this label.")
]
SampleOption: TypeAlias = Annotated[
    str | None, typer.Option(help="Only runs of this sample.")
]
WhoOption: TypeAlias = Annotated[
    str | None, typer.Option(help="Your name; default: the login.")
]
ModelOption: TypeAlias = Annotated[
    str,
    typer.Option(help="Model of the runs: `shipped`, a folder, `registry:NAME`."),
]
JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="One JSON list instead of a table.")
]
ForceOption: TypeAlias = Annotated[
    bool, typer.Option("--force", help="Replace files that are there already.")
]


@contextmanager
def open_results(
    uri: str, path: str
) -> "Iterator[tuple[Container, XPCSResultsCatalog]]":
    """Open a catalog with results, and close it again.

    Parameters
    ----------
    uri : str
        Tiled URI or profile name.
    path : str
        Of the container of results.

    Yields
    ------
    tuple of (Container, XPCSResultsCatalog)
        Root of the catalog, opened with the key in TILED_API_KEY, and the results.

    Raises
    ------
    typer.BadParameter
        If there are no results at `path`.
    """
    from tiled_adapters.catalog import open_catalog
    from tiled_adapters.client import XPCSResultsCatalog

    root = open_catalog(uri, api_key=os.environ.get("TILED_API_KEY"))
    with closing(root.context):
        results = root.get(path)
        if not isinstance(results, XPCSResultsCatalog):
            raise typer.BadParameter(
                f"{uri} has no results at {path!r}: correct --uri or --path"
            )
        yield root, results


def short_uids(uids: Iterable[str]) -> dict[str, str]:
    """Shorten uids for a table that people read.

    Parameters
    ----------
    uids : iterable of str
        All uids among which one is to be found.

    Returns
    -------
    dict of str to str
        The beginning of each uid that no other one shares, eight characters at least.

    Examples
    --------
    >>> short_uids(["abcdefgh-1", "abcdefgh-2", "b1234567-3"])["b1234567-3"]
    'b1234567'
    """
    ranked = sorted(uids)
    lengths = dict.fromkeys(ranked, _SHORTEST_UID)
    for one, other in pairwise(ranked):
        n_needed = _n_shared(one, other) + 1
        lengths[one] = max(lengths[one], n_needed)
        lengths[other] = max(lengths[other], n_needed)
    return {uid: uid[:length] for uid, length in lengths.items()}


def _n_shared(one: str, other: str) -> int:
    """Return how many characters two texts have in common from their start."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
