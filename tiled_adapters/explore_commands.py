"""Commands that compare runs with each other: `similar`, `drift` and `map`."""

import importlib
import json
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ainerd_bluesky.errors import ConfigError, FingerprintError
from tiled_adapters.command_parts import (
    DEFAULT_PATH,
    DEFAULT_URI,
    PROCESS_AGAIN,
    LabelOption,
    PathOption,
    SampleOption,
    UriOption,
    open_results,
)
from tiled_adapters.command_progress import progress_bar, require_writable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

    from tiled_adapters.client import XPCSResultsCatalog
    from tiled_adapters.drift import ModelDrift
    from tiled_adapters.embedding_map import EmbeddingMap, Projection
    from tiled_adapters.fingerprint_table import FingerprintTable

__all__ = ["register_explore_commands"]

_PANEL = "Compare runs"
_DRIFT = 3
"""Exit code that no error has: those end with 1, wrong options with 2."""
_PROJECTION = "ainerd_bluesky.ml.projection"

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


class Method(StrEnum):
    """How a map is laid out."""

    PCA = "pca"
    """By what varies most."""
    DISCRIMINANT = "discriminant"
    """By what tells the labels apart."""


def register_explore_commands(app: typer.Typer) -> None:
    """Add `similar`, `drift` and `map` to the command line."""
    app.command(rich_help_panel=_PANEL)(similar)
    app.command(rich_help_panel=_PANEL)(drift)
    app.command("map", rich_help_panel=_PANEL)(embedding_map)


def similar(
    run_uid: Annotated[str, typer.Argument(help="Run; its first characters may do.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many to find.")] = 10,
    label: LabelOption = None,
    sample: SampleOption = None,
    uri: UriOption = DEFAULT_URI,
    path: PathOption = DEFAULT_PATH,
    as_json: AsJson = False,
) -> None:
    """Find the runs whose dynamics are most like those of one run.

    Fingerprints of the same model are compared; they are kept in a file of your own,
    so that only new ones are fetched the next time.
    """
    console = Console(emoji=False)
    with (
        open_results(uri, path) as (_, results),
        progress_bar("fingerprints") as progress,
    ):
        found = results.find(label=label, sample=sample) if label or sample else results
        try:
            frame = found.similar_to(run_uid, n, progress=progress)
        except KeyError as error:
            raise typer.BadParameter(f"no result of a run {error.args[0]}") from error
    n_not_compared = frame.attrs["n_not_compared"]
    if as_json:
        runs = json.loads(frame.to_json(orient="records"))
        typer.echo(json.dumps({**frame.attrs, "runs": runs}))
        return
    console.print(_similar_table(frame))
    if n_not_compared:
        console.print(
            f"[yellow]not compared:[/] {n_not_compared} runs that were analysed with "
            f"another model or before fingerprints were kept; {PROCESS_AGAIN} to "
            "compare",
            soft_wrap=True,
        )


def drift(
    since: Annotated[
        str,
        typer.Option(
            help="Runs published since count as incoming: 12h, 7d, 2w, or a date "
            "such as 2026-03-01 or 2026-03-01T08:00."
        ),
    ] = "1d",
    uri: UriOption = DEFAULT_URI,
    path: PathOption = DEFAULT_PATH,
    as_json: AsJson = False,
    png: Annotated[
        Path | None, typer.Option(help="Also draw known and incoming runs.")
    ] = None,
) -> None:
    """Tell whether incoming runs have left what is known: the exit code is then 3.

    They are compared with all runs from before and with what the model was trained on.
    The exit code is 0 without drift, or without a run; errors have 1 or 2.
    """
    start = _since(since, datetime.now().astimezone())
    if png is not None:
        require_writable(png)
    from tiled_adapters.drift import drift_since

    with (
        open_results(uri, path) as (_, results),
        progress_bar("fingerprints") as progress,
    ):
        found = drift_since(results, start.timestamp(), progress=progress)
    if as_json:
        typer.echo(json.dumps([one.as_dict() for one in found]))
    else:
        _print_drift(found, start)
    if png is not None and found:
        with _explore_extra():
            from tiled_adapters.drift_picture import draw_drift
        draw_drift(found, png)
    if any(one.report.is_drift for one in found):
        raise typer.Exit(_DRIFT)


def embedding_map(
    output: Annotated[
        Path, typer.Argument(help="Picture (.png) or page with thumbnails (.html).")
    ],
    label: LabelOption = None,
    sample: SampleOption = None,
    method: Annotated[
        Method | None,
        typer.Option(
            help="Layout of a new map; default: discriminant where three labels have "
            "runs enough."
        ),
    ] = None,
    projection: Annotated[
        Path | None,
        typer.Option(
            help="File that keeps the layout, made by the first map, so that no point "
            "moves afterwards; default: beside the output."
        ),
    ] = None,
    thumbnails: Annotated[
        int, typer.Option(min=0, help="Two-time maps to show, spread over the map.")
    ] = 100,
    uri: UriOption = DEFAULT_URI,
    path: PathOption = DEFAULT_PATH,
) -> None:
    """Draw all runs as points, near where their dynamics are alike.

    Axes are fitted once and kept: earlier points never move when runs are added.
    """
    require_writable(output)
    layout = projection or output.with_suffix(".projection.json")
    write = _writer(output)
    from tiled_adapters.embedding_map import chart, newest_model
    from tiled_adapters.fingerprints import read_fingerprints

    with open_results(uri, path) as (_, results):
        sha256 = newest_model(results)
        with progress_bar("fingerprints") as progress:
            table = read_fingerprints(results, sha256, progress=progress)
        found = results.find(label=label, sample=sample) if label or sample else results
        places = _layout(layout, table, results, method)
        with progress_bar("two-time maps") as progress:
            drawn = chart(
                found, table, places, n_thumbnails=thumbnails, progress=progress
            )
    write(drawn, output)
    if not layout.exists():
        # Not before: a layout without a picture would bind the next one.
        save = importlib.import_module(_PROJECTION).save_projection
        save(places, layout, model_sha256=sha256)
    text = f"wrote {output}: {len(drawn.runs)} runs, laid out as {layout} says"
    Console(emoji=False).print(escape(text), soft_wrap=True)


def _writer(path: Path) -> "Callable[[EmbeddingMap, Path], None]":
    """Return what writes a map into such a file."""
    if path.suffix not in {".png", ".html"}:
        raise typer.BadParameter(f"{path} must end in .png or .html")
    with _explore_extra():
        if path.suffix == ".png":
            from tiled_adapters.embedding_picture import draw_embedding_map

            return draw_embedding_map
        from tiled_adapters.embedding_page import write_embedding_page

        return write_embedding_page


@contextmanager
def _explore_extra() -> "Iterator[None]":
    """Name the cure where a package for pictures is not installed."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(f'{error}: pip install "ainerd-bluesky[explore]"') from error


def _layout(
    path: Path,
    table: "FingerprintTable",
    results: "XPCSResultsCatalog",
    method: Method | None,
) -> "Projection":
    """Return the projection that a file keeps; without the file, a new one."""
    with _explore_extra():
        # By its name: scikit-learn is behind it.
        projection = importlib.import_module(_PROJECTION)
    if path.exists():
        kept: Projection = projection.load_projection(
            path, model_sha256=table.model_sha256
        )
        if method not in {None, kept.method}:
            raise ConfigError(
                f"{path} keeps a layout by {kept.method}: name another --projection"
            )
        return kept
    labels = results.labels_table().drop_duplicates("run_uid").set_index("run_uid")
    y = labels["label"].reindex(table.run_uids).fillna("").to_numpy(str)
    if method is None:
        is_told_apart = projection.is_discriminable(table.Z, y)
        method = Method.DISCRIMINANT if is_told_apart else Method.PCA
    made: Projection
    try:
        made = projection.FrozenProjection(method=method.value).fit(table.Z, y)
    except ValueError as error:
        cure = ": --method pca" * (method is Method.DISCRIMINANT)
        raise FingerprintError(f"no map of {len(table)} runs: {error}{cure}") from error
    return made


def _since(text: str, now: datetime) -> datetime:
    """Return the time that the option tells."""
    from tiled_adapters.run_query import moment

    try:
        return moment(text, now)
    except ConfigError as error:
        raise typer.BadParameter(f"--since: {error}") from error


def _similar_table(frame: "pd.DataFrame") -> Table:
    asked = f"{frame.attrs['run_uid']} ({frame.attrs['label']})"
    table = Table(title=Text(f"{len(frame)} runs most like {asked}"))
    headers = (
        "distance",
        "label",
        "confidence",
        "sample",
        "relaxation time [s]",
        "run",
    )
    for header in headers:
        table.add_column(escape(header), overflow="fold")
    for row in frame.to_dict("records"):
        time = row["relaxation_time"]
        cells = (
            f"{row['distance']:.3g}",
            str(row["label"]),
            f"{row['confidence']:.2f}",
            str(row["sample"] or ""),
            "" if time != time else f"{time:.3g}",
            str(row["run_uid"]),
        )
        table.add_row(*map(Text, cells))
    return table


def _print_drift(found: "tuple[ModelDrift, ...]", start: datetime) -> None:
    console = Console(emoji=False)
    if not found:
        console.print(
            f"No drift: no run with a fingerprint came since {start:%Y-%m-%d %H:%M}.",
            highlight=False,
        )
    for one in found:
        report = one.report
        table = Table(
            title=Text(
                f"{one.model}: {report.n_incoming} runs since {start:%Y-%m-%d %H:%M}, "
                f"{report.n_known} from before"
            )
        )
        for header in ("test", "found", "expected", "p"):
            table.add_column(header)
        for test in report.tests:
            mark = "red" if test in report.drifted else ""
            cells = (test.name, f"{test.value:.3g}", f"{test.expected:.3g}")
            table.add_row(*cells, f"{test.p_value:.2g}", style=mark)
        console.print(table)
        console.print(escape(report.sentence), highlight=False)
