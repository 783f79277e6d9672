"""Start-up files in a real IPython process and in a queue server's loader."""

import os
import re
import subprocess
import sys

import pytest

from ainerd_bluesky.profiles import beamline_path, install_startup

pytestmark = pytest.mark.integration

RUN_ENGINE = "from bluesky import RunEngine\nRE = RunEngine()\n"
LOOK = "print('INSTALLED', ainerd.config.name, len(RE.dispatcher._token_mapping))"


@pytest.fixture
def beamline_file(tmp_path):
    """A copy of the demo's file: its outbox must not lie in the repository."""
    path = tmp_path / "beamline" / "demo.toml"
    path.parent.mkdir()
    # Nothing listens there: a session starts without any network.
    text = beamline_path("demo").read_text().replace(":8000", ":9")
    path.write_text(text)
    return path


@pytest.fixture
def environment(tmp_path):
    return {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython"), "COLUMNS": "300"}


def ipython(environment, *arguments):
    command = [sys.executable, "-m", "IPython", *arguments]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_an_ipython_session_has_the_callbacks(beamline_file, environment, tmp_path):
    ipython(environment, "profile", "create", "beamline")
    startup = install_startup(
        beamline_file, ipython_profile="beamline", ipython_dir=tmp_path / "ipython"
    )
    (startup.parent / "00-run-engine.py").write_text(RUN_ENGINE)
    said = ipython(environment, "--profile=beamline", "-c", LOOK)
    assert "INSTALLED demo 2" in said
    assert "No Tiled for now" in said


LIVE = """
[uid] = RE(xpcs_scan(detector, stage, samples[2], n_frames=200))
label = ainerd.follower.follow(uid).result(timeout=200)["label"]
sample = ainerd.outbox.job(uid).payload["sample"]
# Not printed: the session prints its own line from another thread.
import os, pathlib
pathlib.Path(os.environ["FOUND"]).write_text(f"{sample} {label}")
"""


def test_a_scan_in_the_demo_session_shows_its_label(
    environment, tmp_path, tiled_server
):
    ipython(environment, "profile", "create", "demo")
    install_startup("demo", ipython_profile="demo", ipython_dir=tmp_path / "ipython")
    folder = tiled_server.detector_folder / "ipython-demo"
    folder.mkdir()
    text = beamline_path("demo").read_text()
    (folder / "demo.toml").write_text(
        text.replace("http://127.0.0.1:8000", tiled_server.uri)
    )
    (folder / "api_key").write_text(tiled_server.api_key)
    found = tmp_path / "found"
    said = ipython(
        {**environment, "AINERD_DEMO": str(folder), "FOUND": str(found)},
        "--profile=demo",
        "-c",
        LIVE,
    )
    assert found.exists(), said
    sample, label = found.read_text().split()
    assert sample == "sample-03"
    assert re.search(rf"scan 1  sample-03  {label}.* s after the scan", said), said


LOAD = """
import sys
from bluesky_queueserver.manager.profile_ops import load_profile_collection
names = load_profile_collection(sys.argv[1])
print("INSTALLED", names["ainerd"].config.name)
"""


def test_a_queue_server_loads_the_start_up_folder(beamline_file, tmp_path):
    folder = tmp_path / "startup"
    folder.mkdir()
    install_startup(beamline_file, startup_dir=folder)
    (folder / "00-run-engine.py").write_text(RUN_ENGINE)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "INSTALLED demo" in done.stdout, done.stderr
