"""Commands of `ainerd` that concern the Tiled server."""

import os
from collections.abc import Iterable
from itertools import pairwise, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["register"]

_PANEL = "At a beamline"
_SHORTEST_UID = 8


def register(app: typer.Typer) -> None:
    """Add `serve` and `labels` to the command line."""
    app.command(rich_help_panel=_PANEL)(serve)
    app.command(rich_help_panel=_PANEL)(labels)


def serve(
    folder: Annotated[Path, typer.Argument(help="Where the server keeps its data.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8000,
    readable: Annotated[
        list[Path] | None, typer.Option(help="Folder of detector files; repeatable.")
    ] = None,
) -> None:
    """Run a Tiled server for runs, results and models.

    Its key is TILED_API_KEY, or one that is made once; FOLDER/api_key holds it.
    """
    import warnings

    from tiled_adapters.serving import ensure_api_key, require_unserved, run_server

    # Tiled warns about its own configuration objects; the log has what matters.
    warnings.simplefilter("ignore")
    console = Console(emoji=False)
    require_unserved(folder)
    key = ensure_api_key(folder, os.environ.get("TILED_API_KEY"))
    key_source = f"$(cat {folder / 'api_key'})"

    def announce(uri: str) -> None:
        place, log = escape(str(folder.resolve())), escape(str(folder / "server.log"))
        console.print(f"[bold green]serving[/] {place} at [bold]{uri}[/]")
        console.print(f"  log: {log}   stop: Ctrl+C", soft_wrap=True)
        lines = (
            f"export TILED_API_KEY={key_source}   # in the shell, then in Python:\n\n"
            "from tiled_adapters.catalog import open_catalog\n"
            f'catalog = open_catalog("{uri}")\n'
            'catalog["processed/xpcs"].labels_table()'
        )
        console.print(Panel(Text(lines), title="connect", expand=False))

    run_server(
        folder,
        host=host,
        port=port,
        api_key=key,
        readable=readable or (),
        announce=announce,
    )


def labels(
    uri: Annotated[
        str, typer.Option(help="Tiled URI or profile name.")
    ] = "http://127.0.0.1:8000",
    label: Annotated[
        str | None, typer.Option(help="Only runs with this label.")
    ] = None,
    min_confidence: Annotated[
        float | None, typer.Option(min=0, max=1, help="Only labels at least so sure.")
    ] = None,
    sample: Annotated[
        str | None, typer.Option(help="Only runs of this sample.")
    ] = None,
    path: Annotated[
        str, typer.Option(help="Container of results on the server.")
    ] = "processed/xpcs",
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON list instead of a table.")
    ] = False,
) -> None:
    """List the labels of the runs on a server."""
    from tiled_adapters.catalog import open_catalog
    from tiled_adapters.client import XPCSResultsCatalog

    catalog = open_catalog(uri, api_key=os.environ.get("TILED_API_KEY"))
    results = catalog.get(path)
    if not isinstance(results, XPCSResultsCatalog):
        raise typer.BadParameter(f"{uri} has no results at {path!r}")
    found = results.find(label=label, min_confidence=min_confidence, sample=sample)
    frame = found.labels_table()
    if as_json:
        typer.echo(frame.to_json(orient="records"))
        return
    Console(emoji=False).print(_as_table(frame, _short_uids(results)))


def _as_table(frame: "pd.DataFrame", short_uids: dict[str, str]) -> Table:
    """Return the columns that fit a terminal."""
    table = Table(title=f"{len(frame)} runs")
    for header in ("label", "confidence", "sample", "relaxation time [s]", "q [1/Å]"):
        table.add_column(escape(header), overflow="fold")
    table.add_column("run", overflow="fold")
    for row in frame.to_dict("records"):
        cells = (
            str(row["label"]),
            _number(row["confidence"], ".2f"),
            str(row["sample"] or ""),
            _number(row["relaxation_time"], ".3g"),
            _number(row["q"], ".3g"),
            short_uids.get(row["run_uid"], row["run_uid"]),
        )
        table.add_row(*map(Text, cells))
    return table


def _short_uids(uids: Iterable[str]) -> dict[str, str]:
    """Return the beginning of each uid that no other uid shares."""
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


def _number(value: float | None, form: str) -> str:
    """Format a number; nothing where there is none."""
    return "" if value is None or value != value else format(value, form)
