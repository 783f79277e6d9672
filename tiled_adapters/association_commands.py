"""The command `correlate`: dynamics against macroscopic properties."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tiled_adapters.command_parts import (
    DEFAULT_PATH,
    DEFAULT_URI,
    LabelOption,
    PathOption,
    SampleOption,
    UriOption,
    open_results,
)
from tiled_adapters.command_progress import progress_bar, require_writable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ainerd_bluesky.ml.association_report import Association, AssociationReport

__all__ = ["register_association_commands"]

_PANEL = "Compare runs"
_FIRST_RUN = "first-run"
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
    uri: UriOption = DEFAULT_URI,
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
            "first-run, the first analysed run (of --sample), refused or not."
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Longest time from a step to a run, seconds.")
    ] = 60.0,
    label: LabelOption = None,
    min_confidence: Annotated[
        float | None, typer.Option(min=0, max=1, help="Only labels at least so sure.")
    ] = None,
    sample: SampleOption = None,
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
    path: PathOption = DEFAULT_PATH,
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
        require_writable(png)
    if csv is None and csv_start is not None:
        raise typer.BadParameter("--csv-start is about a table: give --csv as well")
    from ainerd_bluesky.ml.association import associate
    from ainerd_bluesky.ml.exchange import Exchange
    from tiled_adapters.association import first_start, join_runs
    from tiled_adapters.property_files import PropertyFile

    with open_results(uri, path) as (root, results), progress_bar("runs") as progress:
        runs = root.get(raw)
        is_first = csv_start == _FIRST_RUN
        zero = first_start(results.find(sample=sample), runs) if is_first else csv_start
        file = None if csv is None else PropertyFile(csv, on, zero, tolerance)
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
