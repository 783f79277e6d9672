"""Bring runs that Tiled did not take at the time into Tiled later."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from tiled.client.container import Container

from ainerd_bluesky.callbacks.writer import is_written_here, tiled_writer

__all__ = ["replay_backups"]

logger = logging.getLogger(__name__)


def replay_backups(
    folder: Path, container: Container, *, allowed_roots: Sequence[Path]
) -> list[str]:
    """Write the complete runs in a backup folder to Tiled.

    A file moves to ``replayed``, or to ``refused`` if Tiled does not take the run; one
    without a stop document stays. What our own writer left in Tiled of a run when it
    broke off is replaced; what another writer wrote is never touched.

    Parameters
    ----------
    folder : Path
        Where the writer keeps documents as JSON lines; need not exist.
    container : Container
        Client of the container of runs.
    allowed_roots : sequence of Path
        Folders under which detector files may lie.

    Returns
    -------
    list of str
        Uids of the runs that are now in Tiled.
    """
    written = []
    for path in sorted(Path(folder).glob("*.jsonl")):
        documents = _read(path)
        if not documents or documents[-1][0] != "stop":
            continue
        run_uid = documents[0][1]["uid"]
        is_taken = _is_complete(run_uid, container) or _write(
            documents, container, allowed_roots
        )
        if is_taken:
            written.append(run_uid)
        _move(path, folder / ("replayed" if is_taken else "refused"))
    return written


def _read(path: Path) -> list[tuple[str, dict[str, Any]]]:
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return [(line["name"], line["doc"]) for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        logger.warning("backup %s is not (yet) readable: %r", path, error)
        return []


def _write(
    documents: list[tuple[str, dict[str, Any]]],
    container: Container,
    allowed_roots: Sequence[Path],
) -> bool:
    run_uid = documents[0][1]["uid"]
    if not _make_room(run_uid, container):
        return False
    writer = tiled_writer(container, allowed_roots=allowed_roots, backup_folder=None)
    try:
        for name, doc in documents:
            writer(name, doc)
    except httpx.TransportError:
        raise  # The server is away: another time.
    except Exception:
        logger.exception("Tiled refused run %s", run_uid)
        return False
    return True


def _make_room(run_uid: str, container: Container) -> bool:
    """Delete what our writer left of a run; False if the run is another writer's."""
    if run_uid not in container:
        return True
    if not is_written_here(container[run_uid]):
        logger.warning(
            "run %s is in Tiled without an end, by another writer: left as it is",
            run_uid,
        )
        return False
    container.delete_contents([run_uid], recursive=True, external_only=False)
    return True


def _move(path: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    path.rename(folder / path.name)


def _is_complete(run_uid: str, container: Container) -> bool:
    try:
        return bool(container[run_uid].metadata.get("stop"))
    except KeyError:
        return False
