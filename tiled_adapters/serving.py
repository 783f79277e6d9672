"""Run the server in this process until it is told to stop."""

import json
import os
import secrets
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from tiled.server.app import build_app_from_config

from ainerd_bluesky.errors import CatalogError, ConfigError, FileFormatError
from tiled_adapters.server import server_config

__all__ = ["build_app", "ensure_api_key", "require_unserved", "run_server"]

_FORBIDDEN = 403
_UNPROCESSABLE = 422


def run_server(
    folder: Path,
    *,
    host: str,
    port: int,
    api_key: str,
    readable: Iterable[Path] = (),
    announce: Callable[[str], None],
) -> None:
    """Serve a folder until SIGINT or SIGTERM.

    While it serves, `server.json` in the folder tells `uri` and `pid`; everything that
    happens is written to `server.log`.

    Parameters
    ----------
    folder : Path
        Holds the server's data.
    host : str
        Address to listen on.
    port : int
        Port to listen on; 0 takes a free one.
    api_key : str
        The key that reads and writes.
    readable : iterable of Path
        Folders of detector files.
    announce : callable
        Called with the URI once the server answers.

    Raises
    ------
    CatalogError
        If the port is taken, or the folder is served already.
    """
    folder = Path(folder).resolve()
    require_unserved(folder)
    listener = _listen(host, port)
    uri = f"http://{host}:{listener.getsockname()[1]}"
    app = build_app(server_config(folder, api_key=api_key, readable=readable))
    config = uvicorn.Config(
        app,
        log_config=_logging_to(folder / "server.log"),
        loop="asyncio",
        timeout_graceful_shutdown=2,
    )
    note = folder / "server.json"
    note.unlink(missing_ok=True)  # of a server that was killed
    server = _AnnouncedServer(config, note, uri, announce)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    if not server.started:
        raise CatalogError(f"the server did not start, see {folder / 'server.log'}")


def build_app(config: dict[str, Any]) -> FastAPI:
    """Make the application; a file that cannot be read is no failure of the server.

    Parameters
    ----------
    config : dict
        Of `server_config`.

    Returns
    -------
    FastAPI
        To be run by uvicorn, or used in process.
    """
    app: FastAPI = build_app_from_config(config)
    # An answer of 5xx would make every client try again for most of a minute.
    app.add_exception_handler(FileFormatError, _explain_file)
    app.add_exception_handler(RuntimeError, _explain_refusal)
    return app


def ensure_api_key(folder: Path, api_key: str | None = None) -> str:
    """Return the key of a server; it is kept in the file `api_key` of its folder.

    Parameters
    ----------
    folder : Path
        Of the server.
    api_key : str, optional
        Given by a person; replaces the one in the file.

    Returns
    -------
    str
        Letters and digits.

    Raises
    ------
    ConfigError
        If it has other characters.
    """
    path = Path(folder) / "api_key"
    kept = path.read_text().strip() if path.exists() else None
    key = api_key or kept or secrets.token_hex(32)
    if not (key.isascii() and key.isalnum()):
        raise ConfigError("the API key must consist of letters and digits")
    if key != kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(key)
    return key


def require_unserved(folder: Path) -> None:
    """Refuse a second server on a folder: its databases take one at a time.

    Parameters
    ----------
    folder : Path
        Of the server.

    Raises
    ------
    CatalogError
        If a server runs there; the text names it.
    """
    note = Path(folder) / "server.json"
    other = {"uri": "?", "pid": "?"}
    try:
        other = json.loads(note.read_text())
        os.kill(other["pid"], 0)
    except PermissionError:
        pass  # alive, and of another user
    except (OSError, ValueError, KeyError):
        return  # nobody, or a server that was killed
    raise CatalogError(
        f"{note.parent} is served already at {other['uri']} by process {other['pid']}; "
        f"if that is no server, remove {note}"
    )


class _AnnouncedServer(uvicorn.Server):
    """Tell when requests can be answered, and leave a note while they can."""

    def __init__(
        self,
        config: uvicorn.Config,
        note: Path,
        uri: str,
        announce: Callable[[str], None],
    ) -> None:
        super().__init__(config)
        self._note = note
        self._uri = uri
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            partial = self._note.with_suffix(".partial")
            partial.write_text(json.dumps({"uri": self._uri, "pid": os.getpid()}))
            partial.replace(self._note)
            self._announce(self._uri)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        self._note.unlink(missing_ok=True)


async def _explain_file(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=_UNPROCESSABLE)


async def _explain_refusal(_request: Request, error: Exception) -> JSONResponse:
    # Tiled has no class of its own for a file outside of the readable folders.
    if not str(error).startswith("Refusing to serve"):
        raise error
    detail = "the file lies outside of the folders that this server may read"
    return JSONResponse({"detail": detail}, status_code=_FORBIDDEN)


def _listen(host: str, port: int) -> socket.socket:
    """Return a bound socket: a port that is taken is found out at once."""
    # asyncio sends small pieces at once on sockets that are told to be TCP, and on no
    # other: answers would wait 40 ms for the client to acknowledge their headers.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CatalogError(
            f"cannot listen on {host}:{port} ({error.strerror}); "
            "choose another with --port"
        ) from error
    return listener


def _logging_to(path: Path) -> dict[str, Any]:
    """Return a logging configuration that leaves the terminal alone."""
    own_handlers = ("tiled.server.app", "tiled.access_control.access_policies")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
        "handlers": {
            "file": {
                "class": "logging.handlers.RotatingFileHandler",
                "filename": str(path),
                "maxBytes": 10_000_000,
                "backupCount": 3,
                "formatter": "line",
            }
        },
        "root": {"handlers": ["file"], "level": "INFO"},
        # Naming a logger takes away the handlers that tiled gave it.
        "loggers": {
            name: {"handlers": [], "propagate": True}
            for name in (*own_handlers, "uvicorn", "uvicorn.access", "uvicorn.error")
        },
    }
