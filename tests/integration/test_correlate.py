"""Dynamics against properties: joined from a real server, asked for on a terminal."""

import csv
import json
import math
import subprocess
import sys
import uuid

import numpy as np
import pytest
from bluesky_tiled_plugins import TiledWriter
from event_model import compose_run

from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.ml.exchange import Exchange
from tiled_adapters.association import first_start, join_runs
from tiled_adapters.property_files import PropertyFile
from tiled_adapters.publish import ResultsPublisher

pytestmark = [pytest.mark.integration, pytest.mark.slow]

N_RUNS = 12
START = 1_700_000_000.0
STRESS = 100.0 + 50.0 * (5 * np.arange(N_RUNS) % N_RUNS)
_AINERD = (
    "import typer; from tiled_adapters.commands import register; "
    "app = typer.Typer(); register(app); app()"
)


def write_run(writer, uid, index):
    """Write what a RunEngine would emit; early runs have a baseline."""
    run = compose_run(
        uid=uid,
        time=START + 57.0 * index,
        metadata={
            "shear_stress": STRESS[index],
            "cell": {"name": f"c{index // 4}", "gap": 0.5 + index // 4},
            **({"batch": "b"} if index < 3 else {}),
        },
    )
    writer("start", run.start_doc)
    if 0 <= index < 3:
        write_baseline(writer, run, [2.0 * index or math.nan, math.nan])
    writer("stop", run.compose_stop(exit_status="success"))


def write_baseline(writer, run, pressures):
    key = {"dtype": "number", "shape": [], "source": "sim"}
    baseline = run.compose_descriptor(name="baseline", data_keys={"pressure": key})
    writer("descriptor", baseline.descriptor_doc)
    for pressure in pressures:
        event = baseline.compose_event(
            data={"pressure": pressure}, timestamps={"pressure": 0.0}
        )
        writer("event", event)


@pytest.fixture(scope="module")
def sample(catalog, results, make_analysis):
    """Sample of twelve runs whose rate follows the stress, and of a refused one."""
    name = f"colloid-{uuid.uuid4()}"
    writer = TiledWriter(catalog["raw"])
    rng = np.random.default_rng(3)
    for index in [*range(N_RUNS), None]:
        stress = 0.0 if index is None else STRESS[index]
        analysis = make_analysis(
            "invalid" if index is None else ("aging", "static")[int(stress > 350)],
            sample=name,
            fingerprint=None if index is None else [stress, *rng.random(3).tolist()],
            physics={"relaxation_rate": stress / 100, "relaxation_time": None},
        )
        analysis.arrays.clear()
        analysis.bins.clear()
        ResultsPublisher(results).publish(analysis)
        write_run(writer, analysis.run_uid, -1 if index is None else index)
    return name


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Time steps of a rheometer whose clock starts with the first, refused run."""
    path = tmp_path_factory.mktemp("rheometer") / "steps.csv"
    steps = enumerate(STRESS)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time", "stress"])
        writer.writerows([57.0 * index + 54.0, stress] for index, stress in steps)
        writer.writerow([57.0 * (N_RUNS + 1), 0.0])
    return path


def test_properties_come_from_metadata_and_streams(catalog, results, sample):
    told = []
    joined = join_runs(
        results.find(sample=sample),
        catalog["raw"],
        ["shear_stress", "cell.gap", "baseline/pressure"],
        progress=lambda done, total: told.append((done, total)),
    )
    np.testing.assert_array_equal(joined.properties["shear_stress"], STRESS)
    np.testing.assert_array_equal(
        joined.properties["cell.gap"], 0.5 + np.arange(N_RUNS) // 4
    )
    pressures = [math.nan, 2.0, 4.0, *[math.nan] * 9]
    np.testing.assert_array_equal(joined.properties["baseline/pressure"], pressures)
    np.testing.assert_array_equal(joined.dynamics.fingerprints[:, 0], STRESS)
    rates = joined.dynamics.physics["relaxation_rate"]
    np.testing.assert_allclose(rates, STRESS / 100)
    assert joined.dynamics.times[1] == START + 57.0
    assert told[-1] == (12, 12)
    assert joined.remarks == (
        "1 refused runs are left out",
        "baseline/pressure is known for 2 of 12 runs",
    )
    assert joined.exchange is None


@pytest.mark.parametrize(
    ("group", "n_groups"), [("sample", 1), ("run", 12), ("cell.name", 3)]
)
def test_runs_are_grouped(catalog, results, sample, group, n_groups):
    joined = join_runs(
        results.find(sample=sample), catalog["raw"], ["shear_stress"], group=group
    )
    assert len(np.unique(joined.dynamics.groups)) == n_groups


def test_runs_that_name_no_group_are_remarked(catalog, results, sample):
    joined = join_runs(
        results.find(sample=sample), catalog["raw"], ["shear_stress"], group="batch"
    )
    assert len(np.unique(joined.dynamics.groups)) == 10
    assert joined.remarks[-1] == "9 of 12 runs have no batch: each stands alone"


def test_group_that_no_run_has_is_refused(catalog, results, sample):
    found = results.find(sample=sample)
    with pytest.raises(ConfigError, match="none of 12 runs has 'smaple' in its start"):
        join_runs(found, catalog["raw"], ["shear_stress"], group="smaple")


def test_first_run_may_be_a_refused_one(catalog, results, sample):
    found = results.find(sample=sample)
    assert first_start(found, catalog["raw"]) == START - 57.0
    with pytest.raises(ConfigError, match="none of 13 runs tells when it was started"):
        first_start(found, None)


def test_steps_of_a_table_are_joined_by_time(catalog, results, sample, table):
    file = PropertyFile(table, start="2023-11-14T22:12:23+00:00")
    joined = join_runs(
        results.find(sample=sample), catalog["raw"], ["stress"], file=file
    )
    np.testing.assert_array_equal(joined.properties["stress"], STRESS)
    assert joined.exchange is Exchange.TIME
    (clock,) = [one for one in joined.remarks if "is counted from" in one]
    assert clock.startswith(f"time in {table} is counted from 2023-11-1")


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
        "--csv-start", "first-run", "--min-confidence", "0", "--json",
        "--png", str(png),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    rank = next(one for one in document["associations"] if one["measure"] == "spearman")
    assert rank["value"] == pytest.approx(1.0)
    assert rank["p_value"] == pytest.approx(1 / 12)
    assert document["n_runs"] == 12
    clock = f"time in {table} is counted from 2023-11-14 22:12:23+00:00"
    assert clock in document["remarks"]
    assert any("so few independent" in remark for remark in document["remarks"])
    assert png.read_bytes().startswith(b"\x89PNG")


def test_command_prints_a_table_and_a_sentence(tiled_server, sample):
    run = correlate(
        tiled_server, "--with", "shear_stress", "--sample", sample, "--group", "run",
        "--exchange", "groups",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "shear_stress, exchanged between 12 groups" in run.stdout
    assert "rises with relaxation_rate (rank correlation 1.00)" in run.stdout
    assert "1 refused runs are left out" in run.stdout
