"""Commands that measure this installation."""

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from ainerd_bluesky.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from ainerd_bluesky.bench.correlator import Benchmark, Progress

__all__ = ["bench_app"]


class HasJson(Protocol):
    """What a benchmark gives."""

    def as_json(self) -> dict[str, Any]:
        """Return every figure in JSON types."""


bench_app = typer.Typer(
    help="Measure this installation: the correlator, the model, the selector.",
    no_args_is_help=True,
)


@bench_app.command()
def correlator(
    cases: Annotated[
        str, typer.Option(help="Cases to measure, such as A,B; all by default.")
    ] = "",
    quick: Annotated[
        bool, typer.Option("--quick", help="Small cases, and ratios to peers only.")
    ] = False,
    repeats: Annotated[
        int | None,
        typer.Option(min=1, help="Processes for each job, the fastest counts; 3."),
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write every repeat to this file.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw time against length of long scans.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 unless every target is met.")
    ] = False,
) -> None:
    """Compare the correlator with its peers: CPU time, memory, results."""
    from rich.console import Console

    from ainerd_bluesky.bench.correlator import bench_correlator

    names = [name.strip() for name in cases.split(",") if name.strip()]
    _check_files(json_path, figure, names, quick=quick)
    console = Console()
    with _progress_bar(console) as progress:
        benchmark = bench_correlator(
            cases=names,
            quick=quick,
            n_repeats=repeats,
            progress=progress,
        )
    _report(console, benchmark)
    _write_json(benchmark, json_path)
    if figure is not None:
        _draw(benchmark, figure)
    if check and benchmark.failures:
        raise typer.Exit(1)


@bench_app.command()
def model(
    model: Annotated[str, typer.Option(help="`shipped`, or a folder.")] = "shipped",
    data: Annotated[
        Path, typer.Option(help="Folder of measurements; need not exist.")
    ] = Path("../shared/data"),
    published: Annotated[
        Path | None,
        typer.Option(help="Folder of a model of preset `published`, to show beside."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few maps, to see that it runs.")
    ] = False,
    train_novelty: Annotated[
        bool,
        typer.Option(
            "--train-novelty", help="Train without two words; ask how novel they are."
        ),
    ] = False,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write every figure to this file.")
    ] = None,
) -> None:
    """Measure a model on measured and simulated maps, beside what needs no training."""
    from rich.console import Console

    from ainerd_bluesky.bench.model import bench_model
    from ainerd_bluesky.bench.model_report import model_table

    _check_files(json_path, None, [], quick=quick)
    console = Console()
    with _progress_bar(console) as progress:
        benchmark = bench_model(
            model,
            data=data,
            published=published,
            quick=quick,
            train_novelty=train_novelty,
            progress=progress,
        )
    console.print(model_table(benchmark))
    _write_json(benchmark, json_path)


@bench_app.command()
def selection(
    quick: Annotated[
        bool, typer.Option("--quick", help="Few campaigns, to see that it runs.")
    ] = False,
    seeds: Annotated[
        str, typer.Option(help="Campaigns of each kind, such as 1-50.")
    ] = "",
    processes: Annotated[
        int | None, typer.Option(min=1, help="At once; as many as processors.")
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write every campaign to this file.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw the curves into this folder.")
    ] = None,
) -> None:
    """Let the selector and simple policies scan the same simulated campaigns.

    Exits with 1 unless every target is met.
    """
    from rich.console import Console
    from rich.markup import escape

    from ainerd_bluesky.bench.selection import bench_selection
    from ainerd_bluesky.bench.selection_report import selection_table

    chosen = _seeds(seeds)
    _check_files(json_path, None, [], quick=quick)
    if figure is not None and not figure.is_dir():
        raise ConfigError(f"no folder {figure} to draw into")
    console = Console()
    with _progress_bar(console) as progress:
        benchmark = bench_selection(
            chosen,
            quick=quick,
            n_processes=processes,
            progress=progress,
        )
    console.print(selection_table(benchmark))
    _write_json(benchmark, json_path)
    if figure is not None:
        from ainerd_bluesky.bench.selection_figure import draw_selection

        draw_selection(benchmark, figure)
    for line in benchmark.failures:
        console.print(f"[red]not met:[/] {escape(line)}", soft_wrap=True)
    if benchmark.failures:
        raise typer.Exit(1)


@contextmanager
def _progress_bar(console: "Console") -> "Iterator[Progress]":
    """Show one bar, which says what is measured now."""
    from rich.progress import Progress as Bars

    with Bars(console=console, transient=True) as bars:
        task = bars.add_task("", total=None)

        def report(what: str, n_done: int, n_total: int) -> None:
            bars.update(task, description=what, completed=n_done, total=n_total)

        yield report


def _write_json(benchmark: "HasJson", path: Path | None) -> None:
    if path is not None:
        path.write_text(json.dumps(benchmark.as_json(), indent=1), "utf-8")


def _seeds(text: str) -> list[int]:
    """Return the numbers from the first to the last of a range; none for no text."""
    if not text:
        return []
    first, _, last = text.partition("-")
    if not (first.isdecimal() and (last or first).isdecimal()):
        raise ConfigError(f"--seeds takes a number or a range like 1-50, got {text!r}")
    numbers = list(range(int(first), int(last or first) + 1))
    if not numbers:
        raise ConfigError(f"--seeds {text} is no range: its end lies before its start")
    return numbers


def _check_files(
    json_path: Path | None, figure: Path | None, names: list[str], *, quick: bool
) -> None:
    """Refuse before minutes of work what could not be written after them."""
    for path in (json_path, figure):
        if path is not None and not path.absolute().parent.is_dir():
            raise ConfigError(f"no folder {path.parent} to write {path.name} into")
    if figure is not None and (quick or (names and "long" not in names)):
        raise ConfigError("--figure shows the case long of the full benchmark")


def _report(console: "Console", benchmark: "Benchmark") -> None:
    from rich.markup import escape

    from ainerd_bluesky.bench.report import benchmark_table

    console.print(benchmark_table(benchmark))
    for line in benchmark.failures:
        console.print(f"[red]not met:[/] {escape(line)}", soft_wrap=True)
    for peer in benchmark.missing_peers:
        console.print(
            f"{peer.distribution} is not installed, own figures only; to compare:\n"
            f"    {escape(peer.how_to_install)}",
            soft_wrap=True,
        )


def _draw(benchmark: "Benchmark", path: Path) -> None:
    from ainerd_bluesky.bench.figure import draw_long_scans

    draw_long_scans(benchmark, path)
