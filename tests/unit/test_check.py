"""`ainerd check`: each thing that can be wrong is found, with its cure."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ainerd_bluesky import check
from ainerd_bluesky.check import check_installation
from ainerd_bluesky.xpcs import QPartition
from tiled_adapters.formats.qmap import write_partition

pytest.importorskip("torch")

BEAMLINE = """
name = "test"
[detector]
field = "eiger"
[partition]
path = "{partition}"
[catalog]
uri = "http://127.0.0.1:9"
allowed_roots = ["{root}"]
"""


def found(findings, subject):
    (finding,) = [item for item in findings if item.subject == subject]
    return finding


@pytest.fixture
def beamline(tmp_path):
    def write(partition="qmap.hdf", root="frames"):
        path = tmp_path / "test.toml"
        path.write_text(BEAMLINE.format(partition=partition, root=root))
        (tmp_path / "frames").mkdir(exist_ok=True)
        one_bin = QPartition(np.ones((4, 4), np.int32), [0.01], [np.nan])
        write_partition(tmp_path / "qmap.hdf", one_bin)
        return str(path)

    return write


def test_this_installation_is_well():
    assert {finding.level for finding in check_installation()} == {"ok"}


def test_another_owner_of_a_package_name_is_named(monkeypatch):
    owners = {"flows": ["ainerd-bluesky", "other-flows"]}
    monkeypatch.setattr(check, "packages_distributions", lambda: owners)
    finding = found(check_installation(), "package flows")
    assert finding.level == "error"
    assert "other-flows" in finding.text


def test_missing_plugin_is_named(monkeypatch):
    monkeypatch.setattr(check, "entry_points", lambda group: [])
    finding = found(check_installation(), "Tiled client classes")
    assert (finding.level, "XPCSResults" in finding.text) == ("error", True)


def test_missing_extra_is_a_warning_with_its_command(monkeypatch):
    monkeypatch.setattr(check, "find_spec", lambda name: None)
    finding = found(check_installation(), "module prefect")
    assert finding.level == "warning"
    assert "pip install" in finding.text


def test_damaged_model_is_an_error(monkeypatch):
    def load_model(name):
        raise check.ModelError("sha256 differs")

    monkeypatch.setattr(check.ml, "load_model", load_model, raising=False)
    assert found(check_installation(), "model").level == "error"


def test_check_itself_needs_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from ainerd_bluesky.check import check_installation\n"
        "[m] = [f for f in check_installation() if f.subject == 'model']\n"
        "assert m.level == 'error', m"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_beamline_without_an_allowed_root_is_an_error(beamline):
    path = Path(beamline())
    path.write_text(path.read_text().replace('["frames"]', "[]"))
    finding = found(check_installation(str(path)), "allowed root")
    assert (finding.level, "refuse" in finding.text) == ("error", True)


def test_server_that_is_not_there_is_an_error_with_a_cure(beamline):
    findings = check_installation(beamline())
    assert found(findings, "outbox").level == "ok"
    assert found(findings, "q-partition").level == "ok"
    server = found(findings, "Tiled server")
    assert (server.level, "ainerd serve" in server.text) == ("error", True)


@pytest.mark.parametrize(
    ("change", "subject"),
    [({"partition": "none.hdf"}, "q-partition"), ({"root": "none"}, "allowed root")],
    ids=["partition", "root"],
)
def test_missing_file_of_the_beamline_is_named(beamline, change, subject):
    finding = found(check_installation(beamline(**change)), subject)
    assert (finding.level, "none" in finding.text) == ("error", True)


def test_a_model_of_the_registry_is_looked_for_on_the_server(beamline):
    path = Path(beamline())
    path.write_text(path.read_text() + '[classification]\nmodel = "registry:mine"\n')
    finding = found(check_installation(str(path)), "registry:mine")
    assert (finding.level, "no Tiled server" in finding.text) == ("error", True)


def test_unknown_beamline_is_an_error():
    finding = found(check_installation("atlantis"), "beamline atlantis")
    assert finding.level == "error"
