"""The command `ainerd agent`: a selector at work in a queue server."""

import signal
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ainerd_bluesky.errors import CatalogError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tiled.client.container import Container

    from ainerd_bluesky.agents import CampaignConfig, Journal, Proposal, Report
    from ainerd_bluesky.agents.queue_agent import QueueAgent
    from ainerd_bluesky.config import BeamlineConfig

__all__ = ["register_agent_commands"]

_PANEL = "At a beamline"
_JOURNAL = "agent.json"
_PAST = {"events", "state_hash"}
"""What changes in the state of a selector while it works."""


def register_agent_commands(app: typer.Typer) -> None:
    """Add `agent` to the command line."""
    app.command(rich_help_panel=_PANEL)(agent)


def agent(
    campaign: Annotated[Path, typer.Argument(help="TOML file of the campaign.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be added, and why.")
    ] = False,
    take_over: Annotated[
        bool,
        typer.Option("--take-over", help="Remove what other agents have waiting."),
    ] = False,
) -> None:
    """Let a selector fill the queue server, behind all that people have there.

    It follows the labels in Tiled, chooses the next candidate, and adds a plan for it
    at the back of the queue. It never starts the queue, touches no item of others, and
    goes on where it was after a crash. Ctrl+C ends it; its items stay in the queue.

    The campaign's file names candidates, strategy, plan and beamline; the beamline's
    file says in its table `queue` where the server is and what an agent may add.
    """
    from ainerd_bluesky.agents import load_campaign, lock_folder

    settings, beamline = load_campaign(campaign)
    folder = settings.folder
    console = Console(emoji=False)
    if dry_run:
        _rehearse(settings, beamline, _open_journal(settings, folder), console)
        return
    with lock_folder(folder):
        journal = _open_journal(settings, folder)
        _work(settings, beamline, journal, console, take_over=take_over)


def _open_journal(settings: "CampaignConfig", folder: Path) -> "Journal":
    """Return the saved state; a new one if there is none."""
    from ainerd_bluesky.agents import load_journal, new_journal

    path = folder / _JOURNAL
    found = load_journal(path, settings.name)
    if found is None:
        return new_journal(path, settings.name, settings.make_selector(), time.time())
    wanted, kept = settings.make_selector().state(), found.selector.state()
    changed = [key for key in wanted if key not in _PAST and wanted[key] != kept[key]]
    if changed:
        raise ConfigError(
            f"{path} was begun with other {', '.join(changed)} than the campaign's "
            "file has now: undo that, or give the campaign a new `name` or `state`"
        )
    return found


def _rehearse(
    settings: "CampaignConfig",
    beamline: "BeamlineConfig",
    journal: "Journal",
    console: Console,
) -> None:
    """Print what would be added, and what would be in the way; change nothing."""
    from ainerd_bluesky.errors import QueueError

    with _agent(settings, beamline, journal, threading.Event()) as worker:
        console.print(_proposal_table(worker.propose(beamline.queue.max_items)))
        try:
            obstacle = worker.find_obstacle()
        except QueueError as error:
            obstacle = str(error)
        if obstacle:
            console.print(f"[yellow]in the way:[/] {escape(obstacle)}", soft_wrap=True)


def _work(
    settings: "CampaignConfig",
    beamline: "BeamlineConfig",
    journal: "Journal",
    console: Console,
    *,
    take_over: bool,
) -> None:
    from ainerd_bluesky.agents import Pace, run_agent
    from ainerd_bluesky.agents.protocols import Report

    wake, stop = threading.Event(), threading.Event()
    pace = Pace(settings.poll_interval)
    with (
        _agent(settings, beamline, journal, wake) as worker,
        _stop_on_signal(stop, wake),
        Live(_status_line(Report()), console=console, transient=True) as live,
    ):
        if take_over:
            worker.take_over()
        screen = _Screen(console, live)
        last = run_agent(
            worker, is_stopped=stop.is_set, wake=wake, report=screen.show, pace=pace
        )
        journal.save()
    _say_farewell(last, journal, console)


class _Screen:
    """Tell what happens line by line, and where the agent stands below."""

    def __init__(self, console: Console, live: Live) -> None:
        self._console = console
        self._live = live
        self._obstacle = ""

    def show(self, report: "Report") -> None:
        for event in report.events:
            self._print(escape(event))
        # A log has no line that is written over: say what is new there too.
        if report.obstacle and report.obstacle != self._obstacle:
            self._print(f"[yellow]waiting:[/] {escape(report.obstacle)}")
        self._obstacle = report.obstacle
        self._live.update(_status_line(report))

    def _print(self, line: str) -> None:
        stamp = time.strftime("%H:%M:%S")
        self._console.print(f"[dim]{stamp}[/] {line}", soft_wrap=True)


@contextmanager
def _agent(
    settings: "CampaignConfig",
    beamline: "BeamlineConfig",
    journal: "Journal",
    wake: threading.Event,
) -> "Iterator[QueueAgent]":
    """Connect an agent to queue server and catalog, and disconnect it again."""
    from ainerd_bluesky.agents import QueueAgent as Worker

    try:
        from ainerd_bluesky.agents.queue_server import open_queue
    except ImportError as error:
        raise ConfigError(
            f"no client for a queue server ({error}): "
            'pip install "ainerd-bluesky[queue]"'
        ) from error
    from tiled_adapters.result_feed import ResultFeed

    rules = settings.rules(beamline)
    template = settings.plan.template()
    with ExitStack() as stack:
        queue = open_queue(beamline.queue)
        stack.callback(queue.close)
        feed = ResultFeed(lambda: _connect(beamline), journal.started, wake)
        stack.callback(feed.close)
        yield Worker(queue, feed, journal, template, rules)


def _connect(beamline: "BeamlineConfig") -> "Container":
    """Open the container of results; whoever has it closes its client."""
    from tiled_adapters.catalog import open_catalog

    root = open_catalog(beamline.catalog.uri)
    try:
        results: Container = root[beamline.catalog.processed]
    except KeyError as error:
        root.context.http_client.close()
        raise CatalogError(
            f"{beamline.catalog.uri} has no {beamline.catalog.processed!r}: "
            f"correct [catalog] of beamline {beamline.name!r}"
        ) from error
    return results


@contextmanager
def _stop_on_signal(stop: threading.Event, wake: threading.Event) -> "Iterator[None]":
    """Let Ctrl+C and SIGTERM end the work after the step that is under way."""

    def on_signal(_number: int, _frame: object) -> None:
        stop.set()
        wake.set()

    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, on_signal) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _proposal_table(proposals: "Sequence[Proposal]") -> Table:
    """Return what would be added, and why."""
    table = Table(title=f"would add {len(proposals)} item(s); nothing is changed")
    for header in ("plan", "score", "cost [s]", "why"):
        table.add_column(escape(header), overflow="fold")
    for proposal in proposals:
        words = ", ".join(f"{k}={v!r}" for k, v in proposal.arguments.items())
        cells = (
            f"{proposal.plan}({words})",
            f"{proposal.score:.3g}",
            f"{proposal.cost:.3g}",
            proposal.reason,
        )
        table.add_row(*map(Text, cells))
    return table


def _status_line(report: "Report") -> Text:
    """Return where the agent stands, in a line."""
    line = Text()
    line.append(f"{report.n_labelled} labelled", "bold green")
    line.append(f"  {report.n_awaited} await a label  {report.n_queued} queued")
    if report.n_released:
        line.append(f"  {report.n_released} given up", "yellow")
    line.append(f"  {report.n_left} candidates left")
    if report.obstacle:
        line.append(f"  waiting: {report.obstacle}", "yellow")
    return line


def _say_farewell(last: "Report", journal: "Journal", console: Console) -> None:
    if last.is_finished:
        console.print("[bold green]done[/]: no scan is left to add")
    elif last.n_queued:
        console.print(
            f"stopped; {last.n_queued} item(s) stay in the queue. The same command "
            "goes on from here",
            soft_wrap=True,
        )
    console.print(f"state: {escape(str(journal.path))}", soft_wrap=True)
