"""Commands about models: what one is worth, and how to make one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.ml import gate_commands

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID
    from rich.table import Table

    from ainerd_bluesky.ml.training import AnyConfig

__all__ = ["model_app"]

model_app = typer.Typer(
    help="Show what a model is worth, train one, or choose the one to use.",
    no_args_is_help=True,
)
gate_commands.register(model_app)


@model_app.command()
def show(
    model: Annotated[str, typer.Argument(help="`shipped`, or a folder.")] = "shipped",
) -> None:
    """Print a model's card: what it is, how it was made, how good it is."""
    from rich.console import Console

    from ainerd_bluesky.ml import load_model

    _print_card(Console(), load_model(model).card)


@model_app.command()
def train(
    output: Annotated[Path, typer.Option(help="Folder for weights and card.")],
    preset: Annotated[
        Literal["ainerd", "published"],
        typer.Option(
            help="`ainerd`, as the shipped model; `published`, architecture and recipe "
            "of the AI-NERD paper, to hold a model against."
        ),
    ] = "ainerd",
    name: Annotated[
        str | None, typer.Option(help="Name of the model and of its files.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Version of the model; a registry has each once.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Rules all chance.")] = 0,
    maps: Annotated[
        int | None, typer.Option(min=90, help="Simulated maps to learn from.")
    ] = None,
    held_out: Annotated[
        int | None, typer.Option(min=90, help="Maps to calibrate and to measure with.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Times that every map is seen.")
    ] = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="With `published`: the paper's own sizes, weeks on two cores.",
        ),
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of measured maps (CHX crops) to learn from too."),
    ] = None,
) -> None:
    """Train a model on simulated maps and write it to a folder."""
    from rich.console import Console

    from ainerd_bluesky.ml import load_model, save_bundle
    from ainerd_bluesky.ml.maps import SAMPLE_SIZE
    from ainerd_bluesky.ml.measured_maps import load_chx_crops, measured_groups
    from ainerd_bluesky.ml.training import train as train_model

    chosen = {
        "name": name,
        "version": version,
        "seed": seed,
        "n_maps": maps,
        "n_held_out": held_out,
        "n_epochs": epochs,
    }
    config = _config(preset, chosen, full=full)
    _check_output(output, config.name)
    measured = (
        None if data is None else measured_groups(load_chx_crops(data), SAMPLE_SIZE)
    )
    console = Console()
    with _Bars(console) as bars:
        bundle = train_model(config, measured=measured, progress=bars)
    card_path = save_bundle(bundle, output)
    _print_card(console, load_model(output).card)
    console.print(f"Wrote {card_path}")
    _draw_losses(console, bundle.autoencoder.loss_curve_, card_path)


def _config(preset: str, chosen: dict[str, Any], *, full: bool) -> "AnyConfig":
    """Make the settings of a preset from what was chosen, None for its own."""
    from pydantic import ValidationError

    from ainerd_bluesky.ml.training import PAPER_SIZE, PublishedConfig, TrainingConfig

    is_published = preset == PublishedConfig.preset
    if full and not is_published:
        raise ConfigError("--full is the size of the paper: add --preset published")
    given = {key: value for key, value in chosen.items() if value is not None}
    try:
        if is_published:
            return PublishedConfig.model_validate(
                {**PAPER_SIZE, **given} if full else given
            )
        return TrainingConfig.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"--{first['loc'][0]}: {first['msg']}, got {first['input']!r}"
        ) from error


def _check_output(folder: Path, name: str) -> None:
    """Refuse before minutes of work a folder that could not be loaded after them."""
    others = [path for path in folder.glob("*.json") if path.stem != name]
    if others:
        raise ConfigError(
            f"{folder} holds {others[0].name} already, and a folder one model: "
            "choose another --output"
        )


class _Bars:
    """One progress bar for each stage of training."""

    def __init__(self, console: "Console") -> None:
        from rich.progress import Progress

        self._progress = Progress(console=console)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._tasks[stage], completed=done)


def _print_card(console: "Console", card: dict[str, Any]) -> None:
    figures = card["figures"]
    console.print(
        f"[bold]{card['name']} {card['version']}[/]  sha256 {card['sha256'][:12]}\n"
        f"{card['training']['n_maps']} simulated maps, "
        f"{card['measured']['n_maps']} measured ones, "
        f"{card['training']['n_epochs']} epochs, seed {card['training']['seed']}\n"
        f"Held out: {figures['n_maps']} maps, accuracy {figures['accuracy']:.3f}, "
        f"macro-F1 {figures['macro_f1']:.3f}, "
        f"calibration error {figures['ece']:.3f}, "
        f"clusters' adjusted Rand index {figures['cluster_adjusted_rand']:.2f}",
        highlight=False,
    )
    console.print(_class_table(card), _noise_table(figures), card["scope"])


def _class_table(card: dict[str, Any]) -> "Table":
    from rich.table import Table

    figures = card["figures"]
    table = Table(title="Held-out maps by class")
    for column in ("label", "maps", "recall", "taken for"):
        table.add_column(column)
    rows = zip(card["classes"], figures["confusion"], strict=True)
    for index, (word, counts) in enumerate(rows):
        others = sorted(
            (
                (count, other)
                for position, (count, other) in enumerate(
                    zip(counts, card["classes"], strict=True)
                )
                if count and position != index
            ),
            reverse=True,
        )
        mistakes = ", ".join(f"{other} {count}" for count, other in others[:3])
        recall = f"{figures['recall'][word]:.3f}"
        table.add_row(word, str(sum(counts)), recall, mistakes)
    return table


def _noise_table(figures: dict[str, Any]) -> "Table":
    from rich.table import Table

    table = Table(title="Held-out maps by signal to noise")
    for column in ("signal to noise", "maps", "accuracy"):
        table.add_column(column)
    for band, row in figures["accuracy_by_signal_to_noise"].items():
        table.add_row(band, str(row["n_maps"]), f"{row['accuracy']:.3f}")
    return table


def _draw_losses(console: "Console", losses: list[float], card_path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        console.print("No loss curve: matplotlib is not installed.")
        return
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.semilogy(range(1, len(losses) + 1), losses, marker=".")
    axes.set(xlabel="epoch", ylabel="mean loss", title="Training")
    path = card_path.with_suffix(".loss.png")
    figure.savefig(path, dpi=150)
    console.print(f"Drew {path}")
