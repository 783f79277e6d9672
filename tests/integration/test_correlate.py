"""Dynamics against properties: joined from a real server, asked for on a terminal."""

import csv
import json
import subprocess
import sys
import uuid

import numpy as np
import pytest
from bluesky_tiled_plugins import TiledWriter
from event_model import compose_run

from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.ml.exchange import Exchange
from tiled_adapters.association import join_runs
from tiled_adapters.property_files import PropertyFile
from tiled_adapters.publish import ResultsPublisher

pytestmark = pytest.mark.integration

N_RUNS = 12
START = 1_700_000_000.0
STRESS = 100.0 + 50.0 * (5 * np.arange(N_RUNS) % N_RUNS)
_AINERD = (
    "import typer; from tiled_adapters.commands import register; "
    "app = typer.Typer(); register(app); app()"
)


def write_run(writer, uid, index):
    """Write what a RunEngine would emit: a run with a baseline before and after."""
    run = compose_run(
        uid=uid,
        time=START + 57.0 * index,
        metadata={
            "shear_stress": STRESS[index],
            "cell": {"name": f"c{index // 4}", "gap": 0.5 + index // 4},
        },
    )
    writer("start", run.start_doc)
    keys = {"motor": {"dtype": "number", "shape": [], "source": "sim"}}
    baseline = run.compose_descriptor(name="baseline", data_keys=keys)
    writer("descriptor", baseline.descriptor_doc)
    for seq_num, offset in ((1, -1.0), (2, 1.0)):
        event = baseline.compose_event(
            data={"motor": index + offset}, timestamps={"motor": 0.0}, seq_num=seq_num
        )
        writer("event", event)
    writer("stop", run.compose_stop(exit_status="success"))


@pytest.fixture(scope="module")
def sample(catalog, results, make_analysis):
    """Sample of twelve runs whose rate follows the stress, and of a refused one."""
    name = f"colloid-{uuid.uuid4()}"
    writer = TiledWriter(catalog["raw"], batch_size=1)
    rng = np.random.default_rng(3)
    for index in [*range(N_RUNS), None]:
        stress = 0.0 if index is None else STRESS[index]
        analysis = make_analysis(
            "invalid" if index is None else ("aging", "static")[int(stress > 350)],
            sample=name,
            fingerprint=None if index is None else [stress, *rng.random(3).tolist()],
            physics={"relaxation_rate": stress / 100, "alpha": None},
        )
        analysis.arrays.clear()
        analysis.bins.clear()
        ResultsPublisher(results).publish(analysis)
        if index is not None:
            write_run(writer, analysis.run_uid, index)
    return name


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Time steps of a rheometer whose clock starts with the first run."""
    path = tmp_path_factory.mktemp("rheometer") / "steps.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time", "stress"])
        writer.writerows([57.0 * index - 3.0, STRESS[index]] for index in range(N_RUNS))
        writer.writerow([57.0 * N_RUNS, 0.0])
    return path


def test_properties_come_from_metadata_and_streams(catalog, results, sample):
    told = []
    joined = join_runs(
        results.find(sample=sample),
        catalog["raw"],
        ["shear_stress", "cell.gap", "baseline/motor"],
        progress=lambda done, total: told.append((done, total)),
    )
    np.testing.assert_array_equal(joined.properties["shear_stress"], STRESS)
    np.testing.assert_array_equal(
        joined.properties["cell.gap"], 0.5 + np.arange(N_RUNS) // 4
    )
    np.testing.assert_array_equal(joined.properties["baseline/motor"], np.arange(12))
    np.testing.assert_array_equal(joined.dynamics.fingerprints[:, 0], STRESS)
    rates = joined.dynamics.physics["relaxation_rate"]
    np.testing.assert_allclose(rates, STRESS / 100)
    assert joined.dynamics.times[1] == START + 57.0
    assert told[-1] == (12, 12)
    assert joined.remarks == ("1 refused runs are left out",)
    assert joined.exchange is None


@pytest.mark.parametrize(
    ("group", "n_groups"), [("sample", 1), ("run", 12), ("cell.name", 3)]
)
def test_runs_are_grouped(catalog, results, sample, group, n_groups):
    joined = join_runs(
        results.find(sample=sample), catalog["raw"], ["shear_stress"], group=group
    )
    assert len(np.unique(joined.dynamics.groups)) == n_groups


def test_steps_of_a_table_are_joined_by_time(catalog, results, sample, table):
    file = PropertyFile(table, start="2023-11-14T22:13:20+00:00")
    joined = join_runs(
        results.find(sample=sample), catalog["raw"], ["stress"], file=file
    )
    np.testing.assert_array_equal(joined.properties["stress"], STRESS)
    assert joined.exchange is Exchange.TIME


def test_archived_runs_are_joined_by_their_uid(results, sample, tmp_path):
    found = results.find(["aging", "static"], sample=sample)
    path = tmp_path / "table.csv"
    rows = [f"{uid},{index}" for index, uid in enumerate(found)]
    path.write_text("\n".join(["run_uid,viscosity", *rows]))
    joined = join_runs(found, None, ["viscosity"], file=PropertyFile(path, "run_uid"))
    np.testing.assert_array_equal(joined.properties["viscosity"], np.arange(N_RUNS))
    with pytest.raises(ConfigError, match="none of 12 runs has 'viscosity'"):
        join_runs(found, None, ["viscosity"])


def test_fingerprints_of_another_model_are_not_compared(
    results, make_analysis, catalog
):
    name = str(uuid.uuid4())
    for model in ("a", "a", "b"):
        analysis = make_analysis(
            sample=name,
            fingerprint=[1.0, 2.0] if model == "a" else [1.0],
            model={"name": "ae", "version": model, "sha256": model * 64},
        )
        analysis.arrays.clear()
        analysis.bins.clear()
        ResultsPublisher(results).publish(analysis)
    joined = join_runs(results.find(sample=name), catalog["raw"], [])
    assert np.isfinite(joined.dynamics.fingerprints).all(axis=1).sum() == 2
    assert "1 of 3 runs have no fingerprint of the model" in joined.remarks[0]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["viscosity"], "none of 12 runs has 'viscosity' in its start document"),
        (["cell"], "cell of a run is .*, not a number"),
        (["baseline/pump"], "none of 12 runs has a field 'baseline/pump'"),
        (["late/motor"], "none of 12 runs has a field 'late/motor'"),
    ],
)
def test_property_that_is_not_there(catalog, results, sample, names, message):
    with pytest.raises(ConfigError, match=message):
        join_runs(results.find(sample=sample), catalog["raw"], names)


def test_nothing_to_join(catalog, results):
    with pytest.raises(ConfigError, match="none of 0 analysed runs tells anything"):
        join_runs(results.find(sample="nobody's"), catalog["raw"], ["shear_stress"])


def correlate(server, *options):
    return subprocess.run(
        [sys.executable, "-c", _AINERD, "correlate", "--uri", server.uri, *options],
        env={"TILED_API_KEY": server.api_key, "COLUMNS": "120", "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_command_answers_in_json_and_draws(tiled_server, sample, table, tmp_path):
    png = tmp_path / "stress.png"
    run = correlate(
        tiled_server, "--with", "stress", "--csv", str(table), "--sample", sample,
        "--csv-start", "2023-11-14T22:13:20", "--json", "--png", str(png),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    rank = next(one for one in document["associations"] if one["measure"] == "spearman")
    assert rank["value"] == pytest.approx(1.0)
    assert rank["p_value"] == pytest.approx(1 / 12)
    assert document["n_runs"] == 12
    assert any("so few independent" in remark for remark in document["remarks"])
    assert png.read_bytes().startswith(b"\x89PNG")


def test_command_prints_a_table_and_a_sentence(tiled_server, sample):
    run = correlate(
        tiled_server, "--with", "shear_stress", "--sample", sample, "--group", "run"
    )
    assert run.returncode == 0, run.stderr
    assert "shear_stress, exchanged between 12 groups" in run.stdout
    assert "rises with relaxation_rate (rank correlation 1.00)" in run.stdout
    assert "1 refused runs are left out" in run.stdout
