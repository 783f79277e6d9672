"""The command `train`: a model learns a facility's own maps."""

import json
import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ainerd_bluesky.errors import ConfigError
from tiled_adapters.command_parts import (
    DEFAULT_PATH,
    DEFAULT_URI,
    PathOption,
    UriOption,
    WhoOption,
)
from tiled_adapters.command_progress import stage_bars

if TYPE_CHECKING:
    from ainerd_bluesky.ml.comparison import Comparison, Figure
    from flows.retraining import Retrained, Retraining

__all__ = ["register_training_commands"]

_PANEL = "Model"
_STYLES = {"better": "green", "worse": "red", "no different": ""}


def register_training_commands(app: typer.Typer) -> None:
    """Add `train` to the command line."""
    app.command(rich_help_panel=_PANEL)(train)


def train(
    from_catalog: Annotated[
        str,
        typer.Option(
            help="Runs to learn from: all, or terms such as 'label=aging,static "
            "sample=S1 since=30d KEY=VALUE'."
        ),
    ],
    model: Annotated[
        str, typer.Option(help="Model whose version in production is fine-tuned.")
    ] = "ainerd-xpcs",
    output: Annotated[
        Path, typer.Option(help="Folder for candidates and unfinished trainings.")
    ] = Path("training"),
    promote: Annotated[
        bool,
        typer.Option("--promote", help="Put the candidate into production if better."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Rules all chance.")] = 0,
    epochs: Annotated[int | None, typer.Option(min=1, help="Most epochs.")] = None,
    maps: Annotated[
        int | None, typer.Option(min=90, help="Simulated maps to learn from too.")
    ] = None,
    held_out: Annotated[
        int | None, typer.Option(min=90, help="Simulated maps to measure with.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=1e-9, help="Of the first epoch.")
    ] = None,
    max_memory: Annotated[
        int, typer.Option(min=1, help="MB for maps; more maps are thinned out.")
    ] = 512,
    who: WhoOption = None,
    uri: UriOption = DEFAULT_URI,
    path: PathOption = DEFAULT_PATH,
    models: Annotated[
        str, typer.Option(help="Container of models on the server.")
    ] = "processed/models",
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON instead of a table.")
    ] = False,
) -> None:
    """Fine-tune the model in production on your own runs, and compare both.

    The result is a candidate in the registry. A training that was killed goes on when
    the same command is given again.
    """
    recipe = {
        "seed": seed,
        "n_epochs": epochs,
        "n_maps": maps,
        "n_held_out": held_out,
        "learning_rate": learning_rate,
    }
    retraining = _retraining_class().model_validate(
        {
            "query": from_catalog,
            "model": model,
            "results": path,
            "models": models,
            "max_megabytes": max_memory,
            "recipe": {
                key: value for key, value in recipe.items() if value is not None
            },
        }
    )
    from flows.retraining import retrain
    from tiled_adapters.catalog import open_catalog

    root = open_catalog(uri, api_key=os.environ.get("TILED_API_KEY"))
    with closing(root.context), stage_bars() as progress:
        done = retrain(
            root, retraining, output, promote=promote, who=who, progress=progress
        )
    if as_json:
        typer.echo(json.dumps(_as_dict(done)))
    else:
        _tell(done)


def _retraining_class() -> "type[Retraining]":
    """Return the class; name the cure where a package is not installed."""
    try:
        from flows.retraining import Retraining
    except ImportError as error:
        raise ConfigError(f'{error}: pip install "ainerd-bluesky[all]"') from error
    return Retraining


def _as_dict(done: "Retrained") -> dict[str, object]:
    return {
        "version": None if done.version is None else done.version.as_dict(),
        "comparison": done.comparison.as_dict(),
        "folder": str(done.folder),
        "was_resumed": done.was_resumed,
    }


def _tell(done: "Retrained") -> None:
    console, version = Console(emoji=False), done.version
    if done.was_resumed:
        console.print("A training that was broken off was brought to its end.")
    console.print(_comparison_table(done.comparison))
    style = _STYLES[done.comparison.outcome]
    console.print(Text(done.comparison.sentence, style), soft_wrap=True)
    left_out = done.maps
    n_left_out = left_out.n_too_short + left_out.n_too_large + left_out.n_not_chosen
    if n_left_out:
        console.print(
            f"{n_left_out} maps were left out: {left_out.n_too_short} too short, "
            f"{left_out.n_too_large} too large, {left_out.n_not_chosen} to save memory"
        )
    console.print(f"wrote {escape(str(done.folder))}", soft_wrap=True)
    if version is None:
        console.print("nothing was learned, nothing registered: try more runs")
        return
    name = f"{version.name} {version.version}"
    if version.stage == "production":
        console.print(f"{name} is in production", highlight=False)
        return
    command = f'ainerd model promote {name} --why "..."'
    console.print(
        f"{name} is a {version.stage}; to use it: `{command}`",
        highlight=False,
        soft_wrap=True,
    )


def _comparison_table(comparison: "Comparison") -> Table:
    table = Table(title="candidate against production, on what neither learned from")
    for header in ("figure", "production", "candidate", "difference", "n", "verdict"):
        table.add_column(header, overflow="fold")
    for unit, figures in (
        ("runs", comparison.own),
        ("maps", comparison.simulated),
    ):
        for figure in figures:
            cells = map(Text, _cells(figure, unit))
            table.add_row(*cells, style=_STYLES[figure.outcome])
    return table


def _cells(figure: "Figure", unit: str) -> tuple[str, ...]:
    change = f"{figure.candidate - figure.production:+.3g} ± {figure.margin:.2g}"
    numbers = (f"{figure.production:.4g}", f"{figure.candidate:.4g}", change)
    return (figure.name, *numbers, f"{figure.n} {unit}", figure.outcome)
