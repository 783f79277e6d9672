"""Hook the classification into a RunEngine, with one call."""

import atexit
import os
import pkgutil
import sys
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bluesky import RunEngine
from rich.console import Console
from rich.markup import escape
from tiled.client.container import Container

from ainerd_bluesky.callbacks.follower import ResultFollower
from ainerd_bluesky.callbacks.outbox import Outbox
from ainerd_bluesky.callbacks.process import WorkerProcess
from ainerd_bluesky.callbacks.trigger import RunStopTrigger
from ainerd_bluesky.callbacks.writer import RunWriter
from ainerd_bluesky.config import BeamlineConfig, load_beamline
from ainerd_bluesky.errors import CatalogError, OutboxError
from ainerd_bluesky.profiles import beamline_path
from ainerd_bluesky.threads import THREAD_SETTINGS

__all__ = ["Installation", "install"]

# By their names: both are layers above this one.
_OPEN_CATALOG = "tiled_adapters.catalog:open_catalog"
_WORKER_MODULE = "flows.worker"

_installations: "weakref.WeakKeyDictionary[RunEngine, Installation]"
_installations = weakref.WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Installation:
    """What `install` put in place.

    Parameters
    ----------
    config : BeamlineConfig
        The beamline.
    outbox : Outbox
        Finished runs on their way to a label.
    follower : ResultFollower
        Knows the labels; hand it to `autonomous_xpcs` as the results.
    writer : RunWriter or None
        Writes runs to Tiled; None where the beamline does that itself.
    worker : WorkerProcess
        Analyses runs.
    unsubscribe : callable
        Takes the callbacks off the RunEngine.
    disconnect : callable
        Closes the connections to Tiled.
    """

    config: BeamlineConfig
    outbox: Outbox
    follower: ResultFollower
    writer: RunWriter | None
    worker: WorkerProcess
    unsubscribe: Callable[[], None]
    disconnect: Callable[[], None]

    def __repr__(self) -> str:
        waiting = self.outbox.counts()
        return (
            f"<Installation at {self.config.name}: {waiting['new'] + waiting['cur']} "
            f"runs queued, {waiting['failed']} failed, results in "
            f"{self.config.catalog.uri}>"
        )

    def retry(self, run_uid: str) -> list[str]:
        """Put runs back in the queue: failed ones, or else those that are done.

        Parameters
        ----------
        run_uid : str
            Uid of a run, or how it begins.

        Returns
        -------
        list of str
            Uids of the runs that were put back.

        Raises
        ------
        OutboxError
            If no failed run and none that is done begins so.
        """
        failed = [job.run_uid for job in self.outbox.jobs("failed")]
        wanted = [uid for uid in failed if uid.startswith(run_uid)]
        if run_uid and not wanted:
            done = [job.run_uid for job in self.outbox.jobs("done")]
            wanted = [uid for uid in done if uid.startswith(run_uid)]
        if not wanted:
            raise OutboxError(
                f"no failed or done run begins with {run_uid!r}; failed: {failed}"
            )
        for uid in wanted:
            self.outbox.requeue(uid)
            self.follower.forget(uid)
            self.follower.follow(uid)
        return wanted

    def close(self, timeout: float = 60.0) -> bool:
        """Take everything off again.

        Parameters
        ----------
        timeout : float, optional
            Longest wait for the worker to finish the queue, in seconds. It goes on
            alone if that is not enough.

        Returns
        -------
        bool
            Whether the worker has ended.
        """
        atexit.unregister(self.close)
        self.unsubscribe()
        if self.writer is not None:
            self.writer.close()
        has_ended = self.worker.close(timeout)
        self.follower.close()
        self.disconnect()
        return has_ended


def install(
    RE: RunEngine,
    beamline: str | Path | BeamlineConfig,
    *,
    api_key: str | None = None,
    live: bool = True,
    write: bool = True,
) -> Installation:
    """Write the runs of a RunEngine to Tiled and classify each one that fits.

    Nothing here needs the network: without a Tiled server, runs go to the backup
    folder and the queue, and to Tiled later. Installing again on the same RunEngine
    returns what is there, or replaces it when the beamline differs.

    Parameters
    ----------
    RE : RunEngine
        Whose runs to classify.
    beamline : str, Path or BeamlineConfig
        Name of a beamline in the profiles, its TOML file, or itself.
    api_key : str, optional
        Key of the Tiled server; unset: the environment's TILED_API_KEY.
    live : bool, optional
        Print each label in this session as soon as it is there.
    write : bool, optional
        False where the beamline writes its runs to Tiled itself: a second writer would
        be in the way of the first. Runs are looked for in ``catalog.raw`` either way.

    Returns
    -------
    Installation
        Close it to undo it; it closes itself when the session ends.
    """
    config = (
        beamline
        if isinstance(beamline, BeamlineConfig)
        else load_beamline(beamline_path(beamline))
    )
    before = _installations.get(RE)
    if before is not None:
        if before.config == config and (before.writer is not None) == write:
            return before
        before.close()

    console = Console() if live else None
    installation = _install(RE, config, api_key, console, write=write)
    _installations[RE] = installation
    atexit.register(installation.close, timeout=0.0)
    return installation


def _install(
    RE: RunEngine,
    config: BeamlineConfig,
    api_key: str | None,
    console: Console | None,
    *,
    write: bool,
) -> Installation:
    outbox = Outbox(config.flow.outbox)
    connections = _Connections(config, api_key)
    worker = _start_worker(config, outbox.folder, api_key)
    follower = ResultFollower(
        outbox,
        lambda: connections.open(config.catalog.processed),
        console=console,
        look_after=worker.ensure,
    )
    writer = _make_writer(config, connections, outbox.folder) if write else None
    trigger = RunStopTrigger(
        outbox, config.technique, on_queued=lambda uid, _: follower.follow(uid)
    )
    # In this order: a run is in Tiled by the time it is queued.
    unsubscribe = _subscribe(RE, [trigger] if writer is None else [writer, trigger])
    _warn_without_server(connections, config.catalog.raw, outbox.folder)
    return Installation(
        config, outbox, follower, writer, worker, unsubscribe, connections.close
    )


def _make_writer(
    config: BeamlineConfig, connections: "_Connections", folder: Path
) -> RunWriter:
    roots = config.catalog.allowed_roots
    if not roots:
        _warn(
            "No allowed folder:",
            f"catalog.allowed_roots of beamline {config.name!r} is empty, so no run "
            "with detector files goes to Tiled, and none is labelled. Name the folders "
            "of the detector files there.",
        )
    return RunWriter(
        lambda: connections.open(config.catalog.raw),
        allowed_roots=roots,
        backup_folder=folder / "backup",
    )


def _subscribe(
    RE: RunEngine, callbacks: Sequence[Callable[[str, Any], None]]
) -> Callable[[], None]:
    """Put callbacks on a RunEngine; return what takes them off again."""
    engine: Any = RE  # Bluesky's RunEngine has no types.
    tokens = [engine.subscribe(callback) for callback in callbacks]

    def unsubscribe() -> None:
        for token in tokens:
            engine.unsubscribe(token)
        tokens.clear()
        _installations.pop(RE, None)

    return unsubscribe


def _start_worker(
    config: BeamlineConfig, folder: Path, api_key: str | None
) -> WorkerProcess:
    description = folder / "beamline.json"
    description.write_text(config.model_dump_json(indent=1))
    environment = {**THREAD_SETTINGS, **os.environ}
    if api_key is not None:
        environment["TILED_API_KEY"] = api_key
    command = [sys.executable, "-m", _WORKER_MODULE, str(description)]
    return WorkerProcess(command, environment, folder / "worker.log")


class _Connections:
    """Clients of the beamline's catalog, closed together."""

    def __init__(self, config: BeamlineConfig, api_key: str | None) -> None:
        self._config = config
        self._api_key = api_key
        self._opened: list[Container] = []

    def open(self, path: str) -> Container:
        """Return a client of its own; raise `CatalogError` with the cure."""
        open_catalog: Callable[..., Container] = pkgutil.resolve_name(_OPEN_CATALOG)
        catalog = open_catalog(self._config.catalog.uri, api_key=self._api_key)
        self._opened.append(catalog)
        try:
            container: Container = catalog[path]
        except KeyError as error:
            raise CatalogError(
                f"{self._config.catalog.uri} has no {path!r}: correct [catalog] of "
                f"beamline {self._config.name!r}, or start the server with "
                "`ainerd serve`"
            ) from error
        return container

    def close(self) -> None:
        while self._opened:
            self._opened.pop().context.http_client.close()


def _warn_without_server(connections: _Connections, path: str, folder: Path) -> None:
    try:
        connections.open(path)
    except CatalogError as error:
        _warn(
            "No Tiled for now:",
            f"{error}\nScans work; until then runs are kept in {folder} and labelled "
            "when the server is there.",
        )


def _warn(heading: str, text: str) -> None:
    console = Console(stderr=True)
    # Brackets in the text, such as those of [catalog], are no markup.
    line = f"[bold yellow]{heading}[/] {escape(text)}"
    console.print(line, soft_wrap=True, highlight=False)
