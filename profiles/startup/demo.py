"""A simulated beamline: `RE`, `detector`, `stage`, `samples`, and live labels.

Start a server first (`ainerd serve demo-beamline --readable demo-beamline/frames`);
its key is read from that folder. Then type
``RE(xpcs_scan(detector, stage, "sample-03"))``. The environment variable
AINERD_DEMO names another folder than ``demo-beamline``.
"""

import os
from pathlib import Path

from bluesky import RunEngine
from ophyd_async.plan_stubs import ensure_connected

from ainerd_bluesky import install
from ainerd_bluesky.devices import demo_beamline

# For the session.
from ainerd_bluesky.plans import autonomous_xpcs, xpcs_scan  # noqa: F401
from ainerd_bluesky.selection import Candidate, NoveltySelector  # noqa: F401

RE = RunEngine()
_folder = Path(os.environ.get("AINERD_DEMO", "demo-beamline"))
_beamline = demo_beamline(_folder)
detector, stage, samples = _beamline.detector, _beamline.stage, _beamline.samples
RE(ensure_connected(detector, stage))
_key = _folder / "api_key"
ainerd = install(
    RE, _beamline.config_path, api_key=_key.read_text() if _key.exists() else None
)
