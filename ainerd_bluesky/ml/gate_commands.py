"""Commands about the gate for detector series."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from ainerd_bluesky.ml.series_verdicts import SeriesVerdict

__all__ = ["check_series", "register", "train_gate"]


def register(app: typer.Typer) -> None:
    """Add the commands to a group."""
    app.command()(train_gate)
    app.command()(check_series)


def train_gate(
    data: Annotated[Path, typer.Option(help="Labelled series (.npz).")],
    output: Annotated[Path, typer.Option(help="JSON file to write.")],
    seed: Annotated[int, typer.Option(min=0, help="Rules all chance.")] = 0,
) -> None:
    """Train the gate for detector series, and measure it on series held out."""
    from rich.console import Console

    from ainerd_bluesky.ml.gate_figures import measure_gate
    from ainerd_bluesky.ml.series_data import NORMAL, read_series_set
    from ainerd_bluesky.ml.series_gate import SeriesGate, save_gate

    series = read_series_set(data)
    figures = measure_gate(series, random_state=seed)
    gate = SeriesGate(random_state=seed)
    gate.fit(series.features(), series.labels == NORMAL, series.filenames)
    console = Console()
    console.print(_figures_table(figures))
    console.print(f"Wrote {save_gate(gate, output, figures)}")


def check_series(
    file: Annotated[Path, typer.Argument(help="Detector series (.npz).")],
    gate: Annotated[
        Path | None, typer.Option(help="A trained gate; the shipped one by default.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON list instead of a table.")
    ] = False,
) -> None:
    """Say which detector series are good, and what speaks against the others.

    The exit code is 1 where a series is held back. The shipped gate has seen series of
    one soft X-ray instrument: believe it elsewhere only after a look at series that you
    know.
    """
    from rich.console import Console

    from ainerd_bluesky.ml.series_data import read_series_set
    from ainerd_bluesky.ml.series_gate import SHIPPED_GATE, load_gate
    from ainerd_bluesky.ml.series_verdicts import judge_series

    verdicts = judge_series(load_gate(gate or SHIPPED_GATE), read_series_set(file))
    if as_json:
        typer.echo(json.dumps([asdict(verdict) for verdict in verdicts]))
    else:
        Console().print(_verdicts_table(verdicts))
    if not all(verdict.passes for verdict in verdicts):
        raise typer.Exit(1)


def _verdicts_table(verdicts: "list[SeriesVerdict]") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table("file", "region", "good", "verdict", "what speaks against it")
    for verdict in verdicts:
        table.add_row(
            escape(verdict.filename),
            escape(verdict.roi),
            "" if verdict.good is None else f"{verdict.good:.3f}",
            "passes" if verdict.passes else "held back",
            escape("; ".join(verdict.reasons)),
        )
    return table


def _figures_table(figures: dict[str, Any]) -> "Table":
    from rich.table import Table

    table = Table(
        "",
        "recall",
        "false discovery",
        "AUC",
        title=f"{figures['n_series']} series, {figures['n_anomalies']} anomalies, "
        f"{figures['n_scans']} scans",
    )
    rows = {
        "files held out": "by_file",
        "scans held out": "by_scan",
        "EllipticEnvelope, files held out": "elliptic_envelope",
        "EllipticEnvelope, published": "published",
    }
    for words, key in rows.items():
        found = figures[key]
        rates = (f"{100 * found[name]:.1f} %" for name in ("recall", "false_discovery"))
        table.add_row(words, *rates, f"{found['auc']:.3f}")
    return table
