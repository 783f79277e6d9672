"""Commands of `ainerd model` that concern the registry on a Tiled server."""

import json
import os
import pkgutil
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tiled_adapters.models import ModelRegistry
    from tiled_adapters.stages import ModelVersion

__all__ = ["register_model_commands"]

_PANEL = "Registry in Tiled"
# By its name: the commands without a server stand beside code that needs torch.
_MODEL_APP = "ainerd_bluesky.ml.commands:model_app"

Uri = Annotated[str, typer.Option(help="Tiled URI or profile; the key: TILED_API_KEY.")]
Container = Annotated[str, typer.Option(help="Container of models on the server.")]
Name = Annotated[str, typer.Argument(help="Name of the model.")]
Version = Annotated[str, typer.Argument(help="Name of the version.")]
Why = Annotated[str, typer.Option(help="Reason; the history keeps it.")]
Who = Annotated[str | None, typer.Option(help="Who decides; default: the login name.")]

_URI = "http://127.0.0.1:8000"
_PATH = "processed/models"


def register_model_commands() -> None:
    """Add the commands of the registry to `ainerd model`."""
    app: typer.Typer = pkgutil.resolve_name(_MODEL_APP)
    app.command("list", rich_help_panel=_PANEL)(list_versions)
    for command in (register, promote, rollback, retire, fetch):
        app.command(rich_help_panel=_PANEL)(command)


def list_versions(
    name: Annotated[
        str | None, typer.Argument(help="One model, with the history of its versions.")
    ] = None,
    uri: Uri = _URI,
    path: Container = _PATH,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON list instead of a table.")
    ] = False,
) -> None:
    """List models, their versions and what is in production."""
    with _registry(uri, path) as registry:
        names = registry.names() if name is None else [name]
        versions = [item for each in names for item in registry.versions(each)]
    if as_json:
        typer.echo(json.dumps([item.as_dict() for item in versions]))
        return
    console = Console(emoji=False)
    if not versions:
        console.print("no models yet: `ainerd model register shipped --production`")
        return
    console.print(_version_table(versions))
    if name is not None:
        console.print(_history_table(versions))


def register(
    folder: Annotated[str, typer.Argument(help="`shipped`, or a model's folder.")],
    production: Annotated[
        bool, typer.Option("--production", help="Put it into production as well.")
    ] = False,
    why: Why = "registered",
    who: Who = None,
    uri: Uri = _URI,
    path: Container = _PATH,
) -> None:
    """Add a model to the registry, as a candidate unless told otherwise."""
    stage = "production" if production else "candidate"
    with _registry(uri, path) as registry:
        _tell(registry.register(folder, stage, who=who, why=why))


def promote(
    name: Name,
    version: Version,
    why: Why,
    who: Who = None,
    uri: Uri = _URI,
    path: Container = _PATH,
) -> None:
    """Put a version into production; the former one is retired.

    Beamlines with `model = "registry:NAME"` use it from their next run on.
    """
    with _registry(uri, path) as registry:
        _tell(registry.promote(name, version, _person(who), why))


def rollback(
    name: Name, why: Why, who: Who = None, uri: Uri = _URI, path: Container = _PATH
) -> None:
    """Bring back the version that was in production before."""
    with _registry(uri, path) as registry:
        _tell(registry.rollback(name, _person(who), why))


def retire(
    name: Name,
    version: Version,
    why: Why,
    who: Who = None,
    uri: Uri = _URI,
    path: Container = _PATH,
) -> None:
    """Say that a version is not to be used any more."""
    with _registry(uri, path) as registry:
        _tell(registry.retire(name, version, _person(who), why))


def fetch(
    name: Name,
    version: Annotated[
        str | None, typer.Argument(help="Default: the one in production.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for all models.")] = Path(
        "models"
    ),
    uri: Uri = _URI,
    path: Container = _PATH,
) -> None:
    """Copy a model to this machine, verified; print the folder to use."""
    with _registry(uri, path) as registry:
        typer.echo(registry.fetch(name, version, output))


@contextmanager
def _registry(uri: str, path: str) -> "Iterator[ModelRegistry]":
    from tiled_adapters.catalog import open_catalog
    from tiled_adapters.models import open_registry

    catalog = open_catalog(uri, api_key=os.environ.get("TILED_API_KEY"))
    with closing(catalog.context):
        yield open_registry(catalog, path)


def _person(who: str | None) -> str:
    from tiled_adapters.people import login_name

    return who or login_name()


def _tell(version: "ModelVersion") -> None:
    line = f"[bold]{escape(version.name)} {escape(version.version)}[/]"
    Console(emoji=False).print(
        f"{line} is {_COLOURED[version.stage]}, sha256 {version.sha256[:12]}",
        highlight=False,
    )


_COLOURED = {
    "candidate": "a [yellow]candidate[/]",
    "production": "in [green]production[/]",
    "retired": "[dim]retired[/]",
}


def _version_table(versions: "Iterable[ModelVersion]") -> Table:
    """Return one row per version."""
    table = Table(title="models")
    for header in ("model", "version", "stage", "since (UTC)", "by", "why", "sha256"):
        table.add_column(header, overflow="fold")
    for item in versions:
        last = item.history[-1]
        cells = (item.name, item.version, item.stage, _minute(item.since))
        table.add_row(*map(Text, (*cells, last.who, last.why, item.sha256[:12])))
    return table


def _history_table(versions: "Iterable[ModelVersion]") -> Table:
    """Return one row per change of stage, in the order of time."""
    table = Table(title="history")
    for header in ("when (UTC)", "version", "became", "by", "why"):
        table.add_column(header, overflow="fold")
    rows = [(change, item.version) for item in versions for change in item.history]
    for change, version in sorted(rows, key=lambda row: row[0].when):
        cells = (_minute(change.when), version, change.stage, change.who, change.why)
        table.add_row(*map(Text, cells))
    return table


def _minute(when: str) -> str:
    """Return a time as people write it."""
    return when[:16].replace("T", " ")
