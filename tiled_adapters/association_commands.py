"""The command `correlate`: dynamics against macroscopic properties."""

import json
import os
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from ainerd_bluesky.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tiled.client.container import Container

    from ainerd_bluesky.ml.association_report import Association, AssociationReport
    from tiled_adapters.client import XPCSResultsCatalog
    from tiled_adapters.run_properties import Progress as Told

__all__ = ["register_association_commands"]

_PANEL = "Compare runs"
_MEASURES = {
    "spearman": "Spearman",
    "kendall": "Kendall",
    "mutual_information": "information [bit]",
    "ridge": "Q2 of ridge",
    "neighbours": "Q2 of neighbours",
}


def register_association_commands(app: typer.Typer) -> None:
    """Add `correlate` to the command line."""
    app.command(rich_help_panel=_PANEL)(correlate)


def correlate(
    properties: Annotated[
        list[str],
        typer.Option(
            "--with",
            help="Property: key of the start document, stream/field such as "
            "baseline/temperature, or column of --csv. Repeatable.",
        ),
    ],
    uri: Annotated[
        str, typer.Option(help="Tiled URI or profile name.")
    ] = "http://127.0.0.1:8000",
    csv: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Table with the properties."),
    ] = None,
    on: Annotated[
        str,
        typer.Option(
            help="Column of --csv that names a run: run_uid, sample, or a time, of "
            "which the last step before the run counts."
        ),
    ] = "time",
    csv_start: Annotated[
        str | None,
        typer.Option(
            help="When a clock of --csv that counts seconds was at 0: ISO time, or "
            "first-run."
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Longest time from a step to a run, seconds.")
    ] = 60.0,
    label: Annotated[
        str | None, typer.Option(help="Only runs with this label.")
    ] = None,
    min_confidence: Annotated[
        float | None, typer.Option(min=0, max=1, help="Only labels at least so sure.")
    ] = None,
    sample: Annotated[
        str | None, typer.Option(help="Only runs of this sample.")
    ] = None,
    group: Annotated[
        str,
        typer.Option(
            help="Runs that count once where their property is the same: of one "
            "sample, each run, or those with the same value of a start document's key."
        ),
    ] = "sample",
    exchange: Annotated[
        Literal["groups", "within", "time"] | None,
        typer.Option(
            help="What chance may exchange: whole groups, runs within groups, or "
            "values along time. Default: what suits the property.",
        ),
    ] = None,
    permutations: Annotated[
        int, typer.Option(min=99, help="Exchanges for each p-value.")
    ] = 999,
    seed: Annotated[int, typer.Option(min=0, help="Rules all chance.")] = 0,
    path: Annotated[
        str, typer.Option(help="Container of results on the server.")
    ] = "processed/xpcs",
    raw: Annotated[str, typer.Option(help="Container of runs on the server.")] = "raw",
    png: Annotated[Path | None, typer.Option(help="Also draw into this file.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON instead of a table.")
    ] = False,
) -> None:
    """Ask which macroscopic properties go with the dynamics.

    Physics, label and fingerprint of each run are compared with the property; p-values
    come from exchanging it between runs, or between samples where the runs of a sample
    share it.
    """
    if png is not None:
        _require_writable(png)
    if csv is None and csv_start is not None:
        raise typer.BadParameter("--csv-start is about a table: give --csv as well")
    from ainerd_bluesky.ml.association import associate
    from ainerd_bluesky.ml.exchange import Exchange
    from tiled_adapters.association import join_runs
    from tiled_adapters.property_files import PropertyFile

    file = None if csv is None else PropertyFile(csv, on, csv_start, tolerance)
    with _open(uri, path, raw) as (results, runs), _bar("runs") as progress:
        found = results.find(label=label, sample=sample, min_confidence=min_confidence)
        joined = join_runs(
            found, runs, properties, file=file, group=group, progress=progress
        )
    report = associate(
        joined.dynamics,
        joined.properties,
        exchange=Exchange(exchange) if exchange else joined.exchange,
        n_permutations=permutations,
        random_state=seed,
    )
    if as_json:
        document = {"n_runs": len(joined.run_uids), **report.as_json()}
        document["remarks"] = [*joined.remarks, *report.remarks]
        typer.echo(json.dumps(document))
    else:
        _print_report(Console(emoji=False), report, joined.remarks)
    if png is not None:
        from tiled_adapters.association_picture import draw_associations

        draw_associations(joined.dynamics, joined.properties, report, png)
        typer.echo(f"drew {png}", err=as_json)


@contextmanager
def _open(
    uri: str, path: str, raw: str
) -> "Iterator[tuple[XPCSResultsCatalog, Container | None]]":
    """Open results and runs; closed afterwards."""
    from tiled_adapters.catalog import open_catalog
    from tiled_adapters.client import XPCSResultsCatalog

    catalog = open_catalog(uri, api_key=os.environ.get("TILED_API_KEY"))
    with closing(catalog.context):
        results = catalog.get(path)
        if not isinstance(results, XPCSResultsCatalog):
            raise typer.BadParameter(f"{uri} has no results at {path!r}")
        yield results, catalog.get(raw)


@contextmanager
def _bar(what: str) -> "Iterator[Told]":
    """Show how many runs were read, where they have to be read one by one."""
    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task(what)

    def tell(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield tell
    finally:
        if bar.live.is_started:
            bar.stop()


def _require_writable(path: Path) -> None:
    """Refuse a picture that could not be written, before anything is computed."""
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise ConfigError(f"cannot write {path}: no such folder, or a folder itself")


def _print_report(
    console: Console, report: "AssociationReport", remarks: "Sequence[str]"
) -> None:
    names = list(dict.fromkeys(answer.name for answer in report.associations))
    for name in names:
        console.print(_as_table(report.of(name)))
    for name in names:
        console.print(f"[bold]{escape(report.sentence(name))}[/]", soft_wrap=True)
    for remark in (*remarks, *report.remarks):
        console.print(f"[yellow]note:[/] {escape(remark)}", soft_wrap=True)


def _as_table(answers: "Sequence[Association]") -> Table:
    """Return one row per answer; what chance hardly explains is bold."""
    exchanged = {
        "groups": f"exchanged between {answers[0].n_groups} groups",
        "within": f"exchanged within {answers[0].n_groups} groups",
        "time": "shifted along time",
    }
    table = Table(title=escape(f"{answers[0].name}, {exchanged[answers[0].exchange]}"))
    for header in ("dynamics", "measure"):
        table.add_column(header, overflow="fold")
    for header in ("value", "chance", "p", "p adj.", "runs"):
        table.add_column(header, justify="right")
    for answer in answers:
        table.add_row(*_cells(answer), style="bold" if answer.is_found else None)
    return table


def _cells(answer: "Association") -> tuple[Text, ...]:
    cells = (
        answer.dynamics.replace("_", " "),
        _MEASURES[answer.measure],
        f"{answer.value:.3f}",
        f"{answer.chance:.3f}",
        f"{answer.p_value:.2g}",
        f"{answer.p_adjusted:.2g}",
        str(answer.n_rows),
    )
    return tuple(map(Text, cells))
