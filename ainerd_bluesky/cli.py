"""The command `ainerd`."""

import os
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ainerd_bluesky import __version__
from ainerd_bluesky.bench.commands import bench_app
from ainerd_bluesky.errors import AinerdError
from ainerd_bluesky.ml.commands import model_app
from ainerd_bluesky.threads import THREAD_SETTINGS

__all__ = ["app", "main"]

_HELP = """
Classify the dynamics of XPCS scans: two-time maps in, labels in Tiled out.

**See it**: `ainerd demo` scans unknown samples on a simulated beamline.

**One file**: `ainerd classify FILE` answers for a two-time map or a result file.

**At a beamline**: `ainerd serve FOLDER`, then `ainerd profile install`, then scan;
`ainerd labels` lists what was found, `ainerd why RUN` tells why a run was measured,
`ainerd check` says what is wrong.

**An archive**: `ainerd ingest PATH...` classifies files and publishes their labels.

**Many runs**: `ainerd similar RUN` finds those like one run, `ainerd map` draws all,
`ainerd clusters fit` groups them, `ainerd name` gives a group a word of yours, and
`ainerd correlate` asks what goes with their dynamics.
"""
_BEAMLINE_PANEL = "At a beamline"

app = typer.Typer(
    name="ainerd",
    help=_HELP,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
profile_app = typer.Typer(
    help="Bring the suite into an IPython or queue-server profile.",
    no_args_is_help=True,
)
app.add_typer(profile_app, name="profile", rich_help_panel=_BEAMLINE_PANEL)
app.add_typer(model_app, name="model", rich_help_panel="Model")
app.add_typer(bench_app, name="bench", rich_help_panel="Machine")


def main() -> None:
    """Run the command line; our own errors end in one line, not a traceback."""
    # Before anything imports numpy; what a person has set stays.
    for name, value in THREAD_SETTINGS.items():
        os.environ.setdefault(name, value)
    for entry_point in sorted(entry_points(group="ainerd.commands")):
        entry_point.load()(app)
    try:
        app()
    except AinerdError as error:
        text = f"[bold red]error:[/] {escape(str(error))}"
        Console(stderr=True, emoji=False).print(text, highlight=False, soft_wrap=True)
        sys.exit(1)


def _print_version(value: bool) -> None:  # typer hands the flag by position
    if value:
        typer.echo(f"ainerd-bluesky {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


@app.command(rich_help_panel="Start here")
def demo(
    folder: Annotated[
        Path, typer.Option(help="Where data and results are kept.")
    ] = Path("demo"),
    json: Annotated[
        Path | None, typer.Option(help="Also write the rows of the table to this file.")
    ] = None,
    samples: Annotated[
        int,
        typer.Option(min=12, help="Samples scanned before the selector takes over."),
    ] = 12,
    chosen: Annotated[
        int, typer.Option(min=0, help="Further scans chosen by the selector.")
    ] = 4,
    seed: Annotated[int, typer.Option(help="Rules all chance.")] = 0,
) -> None:
    """Scan samples of unknown dynamics on a simulated beamline and classify each."""
    from ainerd_bluesky.demo import run_demo

    run_demo(folder, n_samples=samples, n_chosen=chosen, seed=seed, json_path=json)


@app.command(rich_help_panel=_BEAMLINE_PANEL)
def check(
    beamline: Annotated[
        str | None,
        typer.Option(help="Also check this beamline: a name or a TOML file."),
    ] = None,
) -> None:
    """Say what is wrong with this installation, and the cure."""
    from ainerd_bluesky.check import check_installation

    findings = check_installation(beamline, api_key=os.environ.get("TILED_API_KEY"))
    table = Table("", "check", "finding")
    marks = {"ok": "[green]ok[/]", "warning": "[yellow]!![/]", "error": "[red]no[/]"}
    for finding in findings:
        table.add_row(
            marks[finding.level], *map(escape, (finding.subject, finding.text))
        )
    Console().print(table)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)


@profile_app.command("list")
def profile_list() -> None:
    """List the beamlines that come with this installation."""
    from ainerd_bluesky.profiles import beamline_path, list_beamlines

    table = Table("beamline", "file")
    for name in list_beamlines():
        table.add_row(escape(name), escape(str(beamline_path(name))))
    Console().print(table)


@profile_app.command("install")
def profile_install(
    beamline: Annotated[str, typer.Option(help="Beamline name, or its TOML file.")],
    ipython: Annotated[
        str | None, typer.Option(help="Name of the IPython profile to write into.")
    ] = None,
    startup_dir: Annotated[
        Path | None, typer.Option(help="Start-up folder of a queue server.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace a file that differs.")] = False,
) -> None:
    """Write one start-up file that classifies each scan of a session."""
    from ainerd_bluesky.profiles import install_startup

    path = install_startup(
        beamline, ipython_profile=ipython, startup_dir=startup_dir, force=force
    )
    console = Console()
    console.print(f"wrote [bold]{escape(str(path))}[/]", soft_wrap=True)
    if ipython is not None:
        console.print(f"next: [bold]ipython --profile={escape(ipython)}[/]")
