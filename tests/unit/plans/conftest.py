"""Devices that a real RunEngine drives and that do what a test wants."""

import asyncio
from types import SimpleNamespace

import pytest
from bluesky import RunEngine
from ophyd_async.core import AsyncStatus

from ainerd_bluesky.selection import Candidate


class Readable:
    """What the RunEngine needs of anything that is read."""

    parent = None

    def __init__(self, name):
        self.name = name
        self.value = 0.0

    def read(self):
        return {self.name: {"value": self.value, "timestamp": 0.0}}

    def describe(self):
        kind = "string" if isinstance(self.value, str) else "number"
        return {self.name: {"source": "test", "dtype": kind, "shape": []}}

    def read_configuration(self):
        return {}

    def describe_configuration(self):
        return {}


class Motor(Readable):
    """Goes where it is told, at once."""

    def __init__(self, name, broken=()):
        super().__init__(name)
        self.broken = set(broken)
        self.visited = []

    @AsyncStatus.wrap
    async def set(self, value):
        if value in self.broken:
            raise OSError(f"{self.name} is stuck before {value}")
        self.value = value
        self.visited.append(value)


class Camera(Readable):
    """Counts its exposures; `during` happens while it exposes, in the loop."""

    def __init__(self, name="eiger"):
        super().__init__(name)
        self.n_exposures = 0
        self.n_prepared = 0
        self.broken = []
        self.seconds = 0.0
        self.during = lambda: None

    @AsyncStatus.wrap
    async def prepare(self, value):
        self.n_prepared += 1

    @AsyncStatus.wrap
    async def trigger(self):
        self.n_exposures += 1
        self.during()
        await asyncio.sleep(self.seconds)
        if self.broken and self.broken.pop(0):
            raise OSError("no frames came")

    @AsyncStatus.wrap
    async def stage(self):
        pass

    @AsyncStatus.wrap
    async def unstage(self):
        pass


class Results:
    """Answers by the number of the scan: a summary, None, or an error.

    What is in `late` comes only when asked again.
    """

    def __init__(self, *answers, late=(), default=None):
        self.answers = list(answers)
        self.late = set(late)
        self.default = default
        self.asked = []
        self.by_run = {}

    async def wait(self, run_uid, timeout):
        self.asked.append((run_uid, timeout))
        if run_uid not in self.by_run:
            number = len(self.by_run)
            answer = self.answers.pop(0) if self.answers else self.default
            self.by_run[run_uid] = answer
            if number in self.late:
                return None
        answer = self.by_run[run_uid]
        if isinstance(answer, Exception):
            raise answer
        return answer


def summary(**changes):
    return {
        "label": "aging",
        "confidence": 0.9,
        "novelty": 0.3,
        "probabilities": {"aging": 0.9},
        **changes,
    }


def make_shelf(n_samples=5):
    return [Candidate(f"s{n}", (float(n),)) for n in range(n_samples)]


@pytest.fixture
def RE():
    return RunEngine({}, call_returns_result=True)


@pytest.fixture
def camera():
    return Camera()


@pytest.fixture
def stage():
    return Motor("stage")


@pytest.fixture
def documents(RE):
    documents = SimpleNamespace(start=[], stop=[], event=[], descriptor=[])
    RE.subscribe(lambda name, doc: getattr(documents, name).append(doc))
    return documents
