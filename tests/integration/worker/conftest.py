"""A session at a simulated beamline whose runs go to a real Tiled server."""

import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from bluesky import RunEngine
from ophyd_async.plan_stubs import ensure_connected

from ainerd_bluesky.config import BeamlineConfig, load_beamline
from ainerd_bluesky.devices import DemoBeamline, demo_beamline
from ainerd_bluesky.installation import Installation, install
from ainerd_bluesky.plans import xpcs_scan
from ainerd_bluesky.vocabulary import Label
from ainerd_bluesky.xpcs.simulate.dynamics import draw_dynamics
from ainerd_bluesky.xpcs.simulate.samples import SimulatedSample

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
