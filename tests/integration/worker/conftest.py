"""A session at a simulated beamline whose runs go to a real Tiled server."""

import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from bluesky import RunEngine
from ophyd_async.plan_stubs import ensure_connected

from ainerd_bluesky.callbacks.writer import tiled_writer
from ainerd_bluesky.config import BeamlineConfig, load_beamline
from ainerd_bluesky.devices import DemoBeamline, demo_beamline
from ainerd_bluesky.installation import Installation, install
from ainerd_bluesky.ml import load_model
from ainerd_bluesky.plans import xpcs_scan
from ainerd_bluesky.selection import Candidate, Coverage, StrategySelector
from ainerd_bluesky.vocabulary import Label
from ainerd_bluesky.xpcs.simulate.dynamics import draw_dynamics
from ainerd_bluesky.xpcs.simulate.samples import SimulatedSample
from flows import chain

LIMIT = 90
SHAPE = (64, 64)


@dataclass(frozen=True, eq=False)
class Session:
    """What a person at the beamline has."""

    RE: RunEngine
    beamline: DemoBeamline
    config: BeamlineConfig
    installation: Installation

    def scan(self, sample="steady", **settings):
        """Scan shortly; return the run's uid."""
        short = {"n_frames": 96, "frame_time": 0.01, **settings}
        detector, stage = self.beamline.detector, self.beamline.stage
        return self.RE(xpcs_scan(detector, stage, sample, **short))[0]

    def summary(self, run_uid):
        """Wait for a label; None if there will be none."""
        return self.installation.follower.follow(run_uid).result(timeout=LIMIT)


def make_beamline(RE, folder: Path) -> DemoBeamline:
    static = draw_dynamics(Label.STATIC, np.random.default_rng(0))
    samples = {
        "steady": SimulatedSample("steady", static, mean_photons=2.0),
        "dark": SimulatedSample("dark", static, defect="dark"),
    }
    beamline = demo_beamline(folder, samples=samples, shape=SHAPE)
    RE(ensure_connected(beamline.detector, beamline.stage))
    return beamline


def point_at(config: BeamlineConfig, uri: str) -> BeamlineConfig:
    catalog = config.catalog.model_copy(update={"uri": uri})
    return config.model_copy(update={"catalog": catalog})


def be_patient(config, seconds):
    flow = config.flow.model_copy(update={"file_patience": seconds})
    return config.model_copy(update={"flow": flow})


@contextmanager
def open_session(folder: Path, uri: str, api_key: str):
    RE = RunEngine({}, call_returns_result=False)
    beamline = make_beamline(RE, folder)
    config = point_at(load_beamline(beamline.config_path), uri)
    installation = install(RE, config, api_key=api_key)
    try:
        yield Session(RE, beamline, config, installation)
    finally:
        installation.close()


@pytest.fixture(scope="module")
def session(tiled_server):
    """One for all tests of a module: a worker takes long to start."""
    folder = tiled_server.detector_folder / uuid.uuid4().hex
    with open_session(folder, tiled_server.uri, tiled_server.api_key) as session:
        yield session


@pytest.fixture
def own_session(tiled_server):
    """Open a session of one's own, at this server or at another address."""
    opened = []

    def open_one(uri=tiled_server.uri):
        folder = tiled_server.detector_folder / uuid.uuid4().hex
        opened.append(open_session(folder, uri, tiled_server.api_key))
        return opened[-1].__enter__()

    yield open_one
    for manager in opened:
        manager.__exit__(None, None, None)


@pytest.fixture(scope="module")
def beamline(tiled_server):
    """RunEngine and devices without any analysis."""
    RE = RunEngine({}, call_returns_result=False)
    folder = tiled_server.detector_folder / uuid.uuid4().hex
    return RE, make_beamline(RE, folder)


@pytest.fixture
def config(beamline, tiled_server):
    config = point_at(load_beamline(beamline[1].config_path), tiled_server.uri)
    return be_patient(config, 0.0)


@pytest.fixture
def scan(beamline, catalog, config, tmp_path):
    """Scan shortly, written to Tiled; return the run's uid."""
    RE, devices = beamline
    writer = tiled_writer(
        catalog["raw"],
        allowed_roots=config.catalog.allowed_roots,
        backup_folder=tmp_path,
    )
    token = RE.subscribe(writer)

    def run(sample="steady", **settings):
        short = {"n_frames": 96, "frame_time": 0.01, **settings}
        return RE(xpcs_scan(devices.detector, devices.stage, sample, **short))[0]

    yield run
    RE.unsubscribe(token)


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture
def process(config, catalog, model):
    """Take a run through the steps from the catalog to its label."""

    def run(run_uid, config=config):
        return chain.process_run(run_uid, config, model=model, catalog=catalog)

    return run


@pytest.fixture(scope="module")
def decide():
    """Let a selector decide; return what a plan says in the start document."""
    candidates = [Candidate(f"Gel {n} °C", (float(n),)) for n in range(9)]
    selector = StrategySelector(candidates, Coverage())
    # Each module has its own: the same selector would decide the same there.
    campaign = f"worker-{uuid.uuid4().hex[:8]}"

    def suggest():
        [suggestion] = selector.suggest()
        return {"campaign": campaign, "decision": suggestion.decision.as_json()}

    return suggest
