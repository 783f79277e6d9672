"""Commands about the decisions of selectors: `why` and `decisions`."""

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tiled_adapters.command_parts import (
    DEFAULT_PATH,
    DEFAULT_URI,
    JsonOption,
    PathOption,
    UriOption,
    open_results,
    short_uids,
)

if TYPE_CHECKING:
    import pandas as pd

    from ainerd_bluesky.selection.decisions import Decision

__all__ = ["register_decision_commands"]

_PANEL = "Campaigns"


def register_decision_commands(app: typer.Typer) -> None:
    """Add `why` and `decisions` to the command line."""
    app.command(rich_help_panel=_PANEL)(why)
    app.command(rich_help_panel=_PANEL)(decisions)


def why(
    run: Annotated[
        str, typer.Argument(help="Uid of a run, its first characters, or its scan id.")
    ],
    uri: UriOption = DEFAULT_URI,
    path: PathOption = DEFAULT_PATH,
    raw: Annotated[str, typer.Option(help="Container of runs on the server.")] = "raw",
    state: Annotated[
        Path | None,
        typer.Option(help="File of the campaign: take the decision again."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object instead of sentences.")
    ] = False,
) -> None:
    """Tell why a run was measured: what was chosen, out of what, and what it gave."""
    from tiled_adapters.decisions_replay import require_same_choice
    from tiled_adapters.decisions_story import find_story, tell_story

    with open_results(uri, path) as (root, _):
        story = find_story(root, run, results=path, raw=raw)
    if state is not None:
        require_same_choice(story.decision, state)
    if as_json:
        typer.echo(json.dumps(story.as_json()))
        return
    console = Console(emoji=False)
    console.print(f"[bold]run {escape(story.run_uid)}[/]", highlight=False)
    for sentence in tell_story(story):
        console.print(Text(sentence))
    console.print(_ranked_table(story.decision))
    if not story.is_published:
        note = f"Read from the start document in {story.source}: no decision is kept."
        console.print(Text(note, style="yellow"))
    if state is not None:
        checked = f"Taken again from {state}: the same choice."
        console.print(Text(checked, style="green"))


def decisions(
    campaign: Annotated[
        str | None, typer.Argument(help="One campaign; default: all.")
    ] = None,
    last: Annotated[
        int | None, typer.Option("-n", min=1, help="Only the last ones.")
    ] = None,
    uri: UriOption = DEFAULT_URI,
    path: PathOption = DEFAULT_PATH,
    as_json: JsonOption = False,
) -> None:
    """List what selectors decided and what came of it, the newest last."""
    from tiled_adapters.decisions_story import list_decisions

    with open_results(uri, path) as (root, _):
        frame = list_decisions(root, campaign, last=last, results=path)
    if as_json:
        typer.echo(frame.to_json(orient="records"))
        return
    Console(emoji=False).print(_decisions_table(frame))


def _ranked_table(decision: "Decision") -> Table:
    """Return one row per candidate that was ranked, the chosen one marked."""
    n_ranked = len(decision.top)
    table = Table(title=f"the best {n_ranked} of {decision.n_candidates} candidates")
    for header in ("", "candidate", "score", "cost [s]"):
        table.add_column(escape(header), overflow="fold")
    for rank, ranked in enumerate(decision.top, start=1):
        style = "bold" if ranked.name == decision.chosen else ""
        cells = (str(rank), ranked.name, f"{ranked.score:.3g}", f"{ranked.cost:.3g}")
        table.add_row(*map(Text, cells), style=style)
    return table


def _decisions_table(frame: "pd.DataFrame") -> Table:
    """Return the columns that fit a terminal."""
    table = Table(title=f"{len(frame)} decisions")
    for header in ("began", "campaign", "no.", "chosen", "strategy", "gave", "run"):
        table.add_column(header, overflow="fold")
    short = short_uids(frame["run_uid"])
    for row in frame.to_dict("records"):
        began = datetime.fromtimestamp(row["time"]).astimezone()
        label, confidence = row["label"], row["confidence"]
        gave = f"{label} ({confidence:.2f})" if isinstance(label, str) else ""
        cells = (f"{began:%Y-%m-%d %H:%M}", row["campaign"], str(row["number"]))
        more = (row["chosen"], row["strategy"], gave, short[row["run_uid"]])
        table.add_row(*map(Text, (*cells, *more)))
    return table
