"""Results of a server as files for other programs."""

import h5py
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from tiled_adapters.commands import register
from tiled_adapters.formats import read_two_time
from tiled_adapters.publish import ResultsPublisher

pytestmark = pytest.mark.integration


@pytest.fixture
def export(tiled_server, monkeypatch, tmp_path):
    """Run `ainerd export` for a run; the file comes beside the answer."""
    monkeypatch.setenv("TILED_API_KEY", tiled_server.api_key)
    app = typer.Typer()
    register(app)

    def run(uid, *options):
        path = tmp_path / "x_results.hdf"
        given = ["export", uid, "--uri", tiled_server.uri, "--output", str(path)]
        given += options
        return CliRunner().invoke(app, given), path

    return run


def test_published_result_becomes_a_file(results, make_analysis, export):
    analysis = make_analysis()
    ResultsPublisher(results).publish(analysis)
    done, path = export(analysis.run_uid)
    assert done.exit_code == 0, done.output
    assert "not known:" in done.output
    read = read_two_time(path)
    filled = np.triu(analysis.arrays["two_time"])
    np.testing.assert_array_equal(np.triu(read.two_time), filled)
    assert read.q_values.tolist() == analysis.bins["q"]
    with h5py.File(path) as file:
        assert file["entry/process/key"].asstr()[()] == analysis.key
        assert file["entry/data/g2"].shape == (12, 2)


def test_run_without_arrays_is_refused_with_its_reason(results, make_analysis, export):
    analysis = make_analysis("invalid")
    analysis.arrays.clear()
    analysis.bins.clear()
    analysis.summary["quality"] = {"ok": False, "reasons": ["only 12 frames"]}
    ResultsPublisher(results).publish(analysis)
    done, path = export(analysis.run_uid)
    assert str(done.exception).endswith("to export: only 12 frames")
    assert not path.exists()


def test_file_is_replaced_only_by_force(results, make_analysis, export, tmp_path):
    analysis = make_analysis()
    ResultsPublisher(results).publish(analysis)
    (tmp_path / "x_results.hdf").write_bytes(b"precious")
    done, path = export(analysis.run_uid)
    assert "give --force" in str(done.exception)
    assert path.read_bytes() == b"precious"
    done, path = export(analysis.run_uid, "--force")
    assert done.exit_code == 0, done.output
    assert h5py.is_hdf5(path)


def test_unknown_run_is_named(results, export):
    done, _ = export("no-such-run")
    assert done.exit_code == 2
    assert "no-such-run" in done.output
