"""A real Tiled server, and a RunEngine with a detector that writes HDF5."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Read when tiled is imported: a wrong test should not take a minute to fail.
os.environ.setdefault("TILED_RETRY_ATTEMPTS", "2")

import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from event_model import compose_stream_resource
from tiled.client.container import Container

from ainerd_bluesky.pipeline import Analysis
from tiled_adapters.catalog import open_catalog

_SERVE = (
    "import typer; from tiled_adapters.commands import register; "
    "app = typer.Typer(); register(app); app()"
)


@dataclass(frozen=True)
class TiledServer:
    """A server in a process of its own."""

    uri: str
    api_key: str
    folder: Path
    detector_folder: Path
    pid: int


def start_server(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start `ainerd serve` on a free port and wait until it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        key: value for key, value in os.environ.items() if key != "TILED_API_KEY"
    }
    with (folder / "terminal.log").open("wb") as terminal:
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                _SERVE,
                "serve",
                str(folder),
                "--port",
                "0",
                *options,
            ],
            stdout=terminal,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    deadline = time.monotonic() + 90
    while not (folder / "server.json").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(
                "the server did not start:\n" + (folder / "terminal.log").read_text()
            )
        time.sleep(0.05)
    return process


def stop_server(process: subprocess.Popen[bytes]) -> None:
    """End a server, gently first."""
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="session")
def tiled_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TiledServer]:
    folder = tmp_path_factory.mktemp("server")
    detector_folder = tmp_path_factory.mktemp("detector")
    process = start_server(folder, "--readable", str(detector_folder))
    try:
        yield TiledServer(
            uri=json.loads((folder / "server.json").read_text())["uri"],
            api_key=(folder / "api_key").read_text(),
            folder=folder,
            detector_folder=detector_folder,
            pid=process.pid,
        )
    finally:
        stop_server(process)


@pytest.fixture
def serve() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start servers of one's own on given folders; ended afterwards."""
    processes = []

    def start(folder: Path, *options: str) -> subprocess.Popen[bytes]:
        processes.append(start_server(folder, *options))
        return processes[-1]

    yield start
    for process in processes:
        stop_server(process)


@pytest.fixture(scope="session")
def connect(tiled_server: TiledServer) -> Iterator[Callable[[], Container]]:
    """Open the root of the server as often as needed; closed afterwards."""
    with ExitStack() as stack:

        def open_root() -> Container:
            root = open_catalog(tiled_server.uri, api_key=tiled_server.api_key)
            stack.callback(root.context.http_client.close)
            return root

        yield open_root


@pytest.fixture(scope="session")
def catalog(connect: Callable[[], Container]) -> Container:
    """Root of the server."""
    return connect()


@pytest.fixture(scope="session")
def results(catalog: Container) -> Container:
    """The container of results, shared by all tests: use uids of your own."""
    return catalog["processed/xpcs"]


@pytest.fixture(scope="session")
def make_analysis() -> Callable[..., Analysis]:
    """Make an analysis of a run that nobody else has."""

    def make(label: str = "aging", *, run_uid: str | None = None, **summary: object):
        rng = np.random.default_rng(7)
        two_time = rng.random((2, 40, 40), dtype=np.float32) + 1
        uid = run_uid or str(uuid.uuid4())
        return Analysis(
            run_uid=uid,
            recipe={"run_uid": uid, "n": summary.pop("n", 1)},
            provenance={"software": {"numpy": "2"}},
            summary={
                "label": label,
                "confidence": 0.9,
                "probabilities": {label: 0.9, "static": 0.1},
                "novelty": 0.25,
                "cluster": 3,
                "sample": "S1",
                "quality": {"ok": True, "flags": [], "reasons": []},
                "physics": {"relaxation_rate": 2.0, "relaxation_time": 0.5},
                "frame_time": 0.01,
                "n_frames": 40,
                "model": {"name": "ae", "version": "1.0", "sha256": "0" * 64},
                **summary,
            },
            arrays={
                "two_time": two_time,
                "g2": rng.random((2, 12)),
                "lags": np.arange(1, 13),
                "embedding": rng.random((2, 8), dtype=np.float32),
            },
            bins={
                "q_bin": [1, 2],
                "q": [0.01, 0.02],
                "phi": [float("nan"), None],
                "label": [label, label],
                "relaxation_rate": [2.0, None],
            },
        )

    return make


@pytest.fixture(scope="session")
def run_engine() -> Iterator[RunEngine]:
    """A RunEngine whose event loop is closed afterwards."""
    loop = asyncio.new_event_loop()
    engine = RunEngine(call_returns_result=False, loop=loop)
    yield engine
    loop.call_soon_threadsafe(loop.stop)
    engine._th.join(timeout=10)
    loop.close()


class _Done:
    """The smallest status of Bluesky."""

    done = success = True

    def add_callback(self, callback: Callable[["_Done"], None]) -> None:
        callback(self)

    def exception(self, timeout: float | None = None) -> None:
        return None


class HDF5Detector:
    """A detector without ophyd: one HDF5 file per run, a stack per trigger."""

    parent = None

    def __init__(self, folder: Path, frames: np.ndarray, name: str = "eiger") -> None:
        self.name = name
        self._folder = folder
        self._frames = frames  # of one event
        self.path = Path()

    @property
    def hints(self) -> dict[str, list[str]]:
        return {"fields": []}

    def read_configuration(self) -> dict[str, object]:
        return {"eiger_frame_time": {"value": 0.002, "timestamp": time.time()}}

    def describe_configuration(self) -> dict[str, object]:
        return {"eiger_frame_time": {"source": "s", "dtype": "number", "shape": []}}

    def stage(self) -> list["HDF5Detector"]:
        self.path = self._folder / f"{uuid.uuid4().hex}.h5"
        self._file = h5py.File(self.path, "w", libver="latest")
        shape = self._frames.shape[1:]
        self._stack = self._file.create_dataset(
            "/entry/data/data",
            shape=(0, *shape),
            maxshape=(None, *shape),
            dtype=self._frames.dtype,
            chunks=(1, *shape),
        )
        self._file.swmr_mode = True
        self._n_events = self._n_emitted = 0
        self._resource: Any = None
        return [self]

    def unstage(self) -> list["HDF5Detector"]:
        self._file.close()
        return [self]

    def trigger(self) -> _Done:
        per_event = len(self._frames)
        self._n_events += 1
        self._stack.resize(self._n_events * per_event, axis=0)
        self._stack[-per_event:] = self._frames + self._n_events
        self._stack.flush()
        return _Done()

    def describe(self) -> dict[str, object]:
        return {
            self.name: {
                "source": "SIM:hdf5",
                "dtype": "array",
                "shape": list(self._frames.shape),
                "dtype_numpy": self._frames.dtype.str,
                "external": "STREAM:",
            }
        }

    def read(self) -> dict[str, object]:
        return {}

    def get_index(self) -> int:
        return self._n_events

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, Any]]:
        if self._resource is None:
            self._resource = compose_stream_resource(
                mimetype="application/x-hdf5",
                uri=f"file://localhost{self.path}",
                data_key=self.name,
                parameters={
                    "dataset": "/entry/data/data",
                    "swmr": True,
                    "chunk_shape": [1, 1, *self._frames.shape[1:]],
                },
            )
            yield "stream_resource", self._resource.stream_resource_doc
        if self._n_events > self._n_emitted:
            indices = {"start": self._n_emitted, "stop": self._n_events}
            yield "stream_datum", self._resource.compose_stream_datum(indices)
            self._n_emitted = self._n_events


@pytest.fixture(scope="session")
def hdf5_detector(tiled_server: TiledServer) -> Callable[..., HDF5Detector]:
    """Make a detector whose files the server may read."""

    def make(frames: np.ndarray, folder: Path | None = None) -> HDF5Detector:
        return HDF5Detector(folder or tiled_server.detector_folder, frames)

    return make


class Monitor:
    """A device without ophyd that reads these values, one an event."""

    name, parent = "i0", None

    def __init__(self, *values: Any) -> None:
        self._values = iter(values)
        self._value = values[0]

    def trigger(self) -> _Done:
        self._value = next(self._values)
        return _Done()

    def read(self) -> dict[str, object]:
        return {"i0": {"value": self._value, "timestamp": time.time()}}

    def describe(self) -> dict[str, object]:
        shape = list(np.shape(self._value))
        dtype = "string" if isinstance(self._value, str) else "number"
        kind = "array" if shape else dtype
        return {"i0": {"source": "SIM:i0", "dtype": kind, "shape": shape}}

    def read_configuration(self) -> dict[str, object]:
        return {}

    def describe_configuration(self) -> dict[str, object]:
        return {}


@pytest.fixture(scope="session")
def monitor() -> type[Monitor]:
    """Make a beam monitor called i0."""
    return Monitor
