"""What commands that work on a catalog of results have in common."""

import os
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tiled.client.container import Container

    from tiled_adapters.client import XPCSResultsCatalog

__all__ = [
    "DEFAULT_PATH",
    "DEFAULT_URI",
    "JsonOption",
    "LabelOption",
    "ModelOption",
    "PathOption",
    "SampleOption",
    "UriOption",
    "WhoOption",
    "open_results",
]

DEFAULT_URI = "http://127.0.0.1:8000"
"""Where `ainerd serve` listens unless told otherwise."""
DEFAULT_PATH = "processed/xpcs"
"""Where a server of the suite keeps results."""

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
