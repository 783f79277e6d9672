"""A Tiled server in a process of its own, for as long as the demonstration runs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ainerd_bluesky.errors import CatalogError

__all__ = ["Server", "running_server"]

_START_LIMIT = 90.0
_STOP_LIMIT = 10.0
_POLL_INTERVAL = 0.05


@dataclass(frozen=True)
class Server:
    """How to reach the server."""

    uri: str
    api_key: str


@contextmanager
def running_server(folder: Path, readable: Path) -> Iterator[Server]:
    """Serve a folder on a free port as `ainerd serve` does.

    Parameters
    ----------
    folder : Path
        Holds the server's data.
    readable : Path
        Folder of detector files.

    Yields
    ------
    Server
        Ready to answer.
    """
    # The key of another server would be taken for this one's.
    environment = {k: v for k, v in os.environ.items() if k != "TILED_API_KEY"}
    serve = [sys.executable, "-m", "ainerd_bluesky", "serve", str(folder)]
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [*serve, "--port=0", f"--readable={readable}"],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        uri = _wait_until_ready(process, folder)
        yield Server(uri, (folder / "api_key").read_text().strip())
    finally:
        _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], folder: Path) -> str:
    limit = time.monotonic() + _START_LIMIT
    note = folder / "server.json"
    while process.poll() is None and time.monotonic() < limit:
        if note.exists() and (text := note.read_text()):
            return str(json.loads(text)["uri"])
        time.sleep(_POLL_INTERVAL)
    raise CatalogError(f"the Tiled server did not start: see {folder / 'serve.log'}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
