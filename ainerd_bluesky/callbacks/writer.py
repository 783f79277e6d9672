"""Write runs to Tiled without ever stopping the RunEngine."""

import functools
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import unquote, urlparse

import httpx
from bluesky.callbacks.json_writer import JSONLinesWriter
from bluesky_tiled_plugins.writing.tiled_writer import RunNormalizer, TiledWriter
from event_model import RunRouter, sanitize_doc
from tiled.client.container import Container

from ainerd_bluesky.errors import CatalogError, UnsuitableRunError

__all__ = ["RunWriter", "check_uri", "is_written_here", "tiled_writer"]

logger = logging.getLogger(__name__)

_HEALTH_TIMEOUT = 2.0
_LOCAL_HOSTS = frozenset({"", "localhost"})
# In the start document in Tiled: it tells our runs from those of another writer.
_MARK, _OURS = "_written_by", "ainerd_bluesky"

_Document = Mapping[str, Any]
_Callback = Callable[[str, dict[str, Any]], None]


def check_uri(uri: str, allowed_roots: Sequence[Path]) -> Path:
    """Return the file behind the URI of a StreamResource, if it may be registered.

    Symbolic links and ``..`` are resolved first: what counts is where the data lie.

    Parameters
    ----------
    uri : str
        As it stands in the document, such as ``file://localhost/data/x.h5``.
    allowed_roots : sequence of Path
        Folders under which detector files may lie.

    Returns
    -------
    Path
        Resolved path of the file.

    Raises
    ------
    UnsuitableRunError
        If the URI is not of a local file, or the file is under none of the roots.
    """
    parts = urlparse(uri)
    if parts.scheme != "file" or parts.netloc not in _LOCAL_HOSTS:
        raise UnsuitableRunError(f"detector data must be a local file, got {uri!r}")
    path = Path(unquote(parts.path)).resolve()
    roots = [Path(root).resolve() for root in allowed_roots]
    if not any(path.is_relative_to(root) for root in roots):
        allowed = ", ".join(map(str, roots)) or "no folder"
        raise UnsuitableRunError(
            f"detector file {path} is not under an allowed folder ({allowed}): "
            "add its folder to catalog.allowed_roots of the beamline file"
        )
    return path


class _CheckedNormalizer(RunNormalizer):  # type: ignore[misc]  # upstream has no types
    """Mark the run as ours; let no StreamResource pass whose file lies elsewhere."""

    def __init__(self, allowed_roots: Sequence[Path], **settings: object) -> None:
        super().__init__(**settings)
        self._allowed_roots = allowed_roots

    def start(self, doc: dict[str, Any]) -> None:
        super().start({**doc, _MARK: _OURS})

    def emit(self, name: object, doc: dict[str, Any]) -> None:
        if getattr(name, "name", name) == "stream_resource":
            check_uri(doc["uri"], self._allowed_roots)
        super().emit(name, doc)


def tiled_writer(
    container: Container,
    *,
    allowed_roots: Sequence[Path],
    backup_folder: Path | None,
) -> _Callback:
    """Make a TiledWriter that shows each event at once and loses nothing.

    Parameters
    ----------
    container : Container
        Client of the container of runs.
    allowed_roots : sequence of Path
        Folders under which detector files may lie.
    backup_folder : Path or None
        Where the documents of a run go, as JSON lines, that Tiled does not take.
        None: what goes wrong is raised.

    Returns
    -------
    callable
        Takes the documents of one or more runs.
    """
    writer: _Callback = TiledWriter(
        container,
        normalizer=functools.partial(_CheckedNormalizer, allowed_roots),
        backup_directory=None if backup_folder is None else str(backup_folder),
        batch_size=1,
    )
    return writer


def is_written_here(run: Container) -> bool:
    """Return whether a run in Tiled was written by a `tiled_writer`."""
    start = run.metadata.get("start") or {}
    return bool(start.get(_MARK) == _OURS)


class RunWriter:
    """RunEngine callback that writes runs to Tiled from a thread of its own.

    A run that starts while the server is away goes to the backup folder as a whole;
    one that is under way when the server dies does so too. The RunEngine waits at the
    end of a run, for `patience` at most, so that a finished run is readable.

    Parameters
    ----------
    connect : callable
        Returns a client of the container of runs, or raises `CatalogError`.
    allowed_roots : sequence of Path
        Folders under which detector files may lie.
    backup_folder : Path
        Where the documents of a run go that Tiled does not take.
    patience : float, optional
        Longest wait at the end of a run, in seconds.
    """

    def __init__(
        self,
        connect: Callable[[], Container],
        *,
        allowed_roots: Sequence[Path],
        backup_folder: Path,
        patience: float = 5.0,
    ) -> None:
        self._connect = connect
        self._allowed_roots = tuple(allowed_roots)
        self._backup_folder = Path(backup_folder)
        self._patience = patience
        self._container: Container | None = None
        self._router = RunRouter([lambda _, start: ([self._writer_of(start)], [])])
        self._queue: SimpleQueue[tuple[str, _Document] | threading.Event | None]
        self._queue = SimpleQueue()
        self._thread = threading.Thread(
            target=self._work, name="ainerd-run-writer", daemon=True
        )
        self._thread.start()

    def __call__(self, name: str, doc: _Document) -> None:
        """Take one document of any kind."""
        self._queue.put((name, doc))
        if name == "stop" and not self.flush(self._patience):
            logger.warning("run %s is still being written to Tiled", doc["run_start"])

    def flush(self, timeout: float) -> bool:
        """Wait until all documents so far are written; False if time ran out."""
        is_written = threading.Event()
        self._queue.put(is_written)
        return is_written.wait(timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Write what is left and end the thread."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
            else:
                self._write(*item)

    def _write(self, name: str, doc: _Document) -> None:
        try:
            self._router(name, sanitize_doc(dict(doc)))
        except Exception:
            logger.exception("a %s document could not be written", name)

    def _writer_of(self, start: _Document) -> _Callback:
        try:
            container = self._live_container()
        except (CatalogError, httpx.HTTPError) as error:
            logger.warning("run %s is kept, Tiled is away: %s", start["uid"], error)
            return self._backup()
        except Exception:
            logger.exception("run %s is kept, Tiled cannot be used", start["uid"])
            return self._backup()
        return tiled_writer(
            container,
            allowed_roots=self._allowed_roots,
            backup_folder=self._backup_folder,
        )

    def _backup(self) -> _Callback:
        self._container = None
        self._backup_folder.mkdir(parents=True, exist_ok=True)
        writer: _Callback = JSONLinesWriter(str(self._backup_folder))
        return writer

    def _live_container(self) -> Container:
        """Return a client that answers now: a dead one costs 45 s of retries."""
        if self._container is None:
            self._container = self._connect()
        context = self._container.context
        context.http_client.get(str(context.api_uri), timeout=_HEALTH_TIMEOUT)
        return self._container
