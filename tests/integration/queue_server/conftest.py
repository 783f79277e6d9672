"""A real queue server at a simulated beamline: Redis, RE manager, environment."""

import gc
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zmq

from ainerd_bluesky.profiles import beamline_path, find_profiles, install_startup

LIMIT = 240


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(look: Callable[[], Any], what: str, limit: float = LIMIT) -> Any:
    """Return the first answer that is true."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.2)
    pytest.fail(f"waited {limit:g} s in vain: {what}")


@contextmanager
def running(command: list[str], log: Path, **environment: str) -> Iterator[None]:
    """Run a program, and end it with what it started."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@dataclass(frozen=True)
class Lab:
    """What an operator has: folder, key, and the client of the queue server."""

    folder: Path
    control_address: str
    api_key: str
    api: Any

    def order(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.api.queue_get(reload=True)["items"]
        return items

    def history(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.api.history_get(reload=True)["items"]
        return items

    def add_scan(self, sample: str) -> str:
        """Add a scan as a person does; return the uid of the item."""
        devices = {"detector": "detector", "stage": "stage"}
        item = {
            "item_type": "plan",
            "name": "xpcs_scan",
            "kwargs": {**devices, "sample": sample, "n_frames": 96},
        }
        uid: str = self.api.item_add(item)["item"]["item_uid"]
        return uid

    def idle(self) -> None:
        """Stop and empty the queue."""
        self.api.queue_autostart(False)
        wait_for(
            lambda: self.api.status(reload=True)["manager_state"] == "idle",
            "idle queue",
        )
        self.api.queue_clear()

    def campaign(self, name: str, *, n_scans: int = 3, max_awaited: int = 1) -> Path:
        """Write the file of a campaign."""
        path = self.folder / f"{name}.toml"
        shelf = [f"sample-{number:02d}" for number in range(1, 9)]
        candidates = "".join(
            f'[[candidates]]\nname = "{sample}"\ncoordinates = [{place}]\n'
            for place, sample in enumerate(shelf)
        )
        path.write_text(
            f'name = "{name}"\nbeamline = "demo.toml"\nn_scans = {n_scans}\n'
            f"max_awaited = {max_awaited}\npoll_interval = 0.3\n"
            '[plan]\narguments = { detector = "detector", stage = "stage", '
            f'n_frames = 96 }}\n[[axes]]\nname = "place"\n{candidates}'
        )
        return path


@dataclass
class Agent:
    """The command `ainerd agent` in a process of its own."""

    command: list[str]
    log: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
            )

    def said(self) -> str:
        return self.log.read_text()

    def wait(self) -> int:
        return self.process.wait(timeout=LIMIT)

    def send(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.wait()


@pytest.fixture
def start_agent(lab, tmp_path):
    """Start agents on campaign files; killed afterwards."""
    agents: list[Agent] = []

    def start(campaign: Path, *options: str) -> Agent:
        command = [sys.executable, "-m", "ainerd_bluesky", "agent", str(campaign)]
        environment = {
            **os.environ,
            "TILED_API_KEY": lab.api_key,
            "COLUMNS": "250",
            "TERM": "dumb",
        }
        log = tmp_path / f"agent-{len(agents)}.log"
        agents.append(Agent([*command, *options], log, environment))
        return agents[-1]

    yield start
    for agent in agents:
        agent.process.kill()
        agent.process.wait()


@contextmanager
def client(address: str) -> Iterator[Any]:
    """Open the client that an operator's tools have."""
    api_module = pytest.importorskip("bluesky_queueserver_api.zmq")
    before = set(map(id, contexts()))
    api = api_module.REManagerAPI(zmq_control_addr=address)
    api.user, api.user_group = "operator", "primary"
    try:
        yield api
    finally:
        api.close()
        # It leaves the context of its sockets to the garbage collector.
        for context in contexts():
            if id(context) not in before:
                context.destroy(linger=0)


def contexts() -> list[Any]:
    """Return the contexts that are open in this process."""
    # By type: some objects of torch warn when they are asked for their class.
    found = [item for item in gc.get_objects() if issubclass(type(item), zmq.Context)]
    return [context for context in found if not context.closed]


@pytest.fixture(scope="module")
def lab(tiled_server, tmp_path_factory):
    """A queue server whose environment is open, at a simulated beamline."""
    redis = shutil.which("redis-server")
    if redis is None:
        pytest.skip("no redis-server here: apt-get install redis-server")
    folder = tiled_server.detector_folder / "queue-server"
    startup = folder / "startup"
    startup.mkdir(parents=True)
    logs = tmp_path_factory.mktemp("logs")
    redis_port, control = free_port(), f"tcp://127.0.0.1:{free_port()}"
    text = beamline_path("demo").read_text()
    (folder / "demo.toml").write_text(
        text.replace("http://127.0.0.1:8000", tiled_server.uri)
        + f'[queue]\ncontrol_address = "{control}"\nmax_items = 2\n'
    )
    (folder / "api_key").write_text(tiled_server.api_key)
    install_startup("demo", startup_dir=startup)
    permissions = find_profiles() / "queue-server" / "user_group_permissions.yaml"
    shutil.copy(permissions, startup)
    redis_command = [redis, "--bind", "127.0.0.1", "--port", str(redis_port)]
    redis_command += ["--save", "", "--dir", str(logs)]
    manager_command = [
        str(Path(sys.executable).with_name("start-re-manager")),
        "--startup-dir",
        str(startup),
        "--redis-addr",
        f"127.0.0.1:{redis_port}",
        "--zmq-control-addr",
        control,
        "--zmq-info-addr",
        f"tcp://127.0.0.1:{free_port()}",
    ]
    with ExitStack() as stack:
        stack.enter_context(running(redis_command, logs / "redis.log"))
        stack.enter_context(
            running(manager_command, logs / "manager.log", AINERD_DEMO=str(folder))
        )
        api = stack.enter_context(client(control))
        wait_for(lambda: answers(api), "the RE manager")
        api.environment_open()
        stack.callback(close_environment, api)
        wait_for(
            lambda: api.status(reload=True)["worker_environment_exists"],
            f"the environment; see {logs / 'manager.log'}",
        )
        yield Lab(folder, control, tiled_server.api_key, api)


def answers(api: Any) -> bool:
    try:
        api.status(reload=True)
    except api.RequestTimeoutError:
        return False
    return True


def close_environment(api: Any) -> None:
    """Close it as an operator does: the worker beside it ends with its queue."""
    api.wait_for_idle(timeout=LIMIT)
    api.environment_close()
    wait_for(
        lambda: not api.status(reload=True)["worker_environment_exists"], "closing"
    )
