"""What the model's benchmark computes, on data whose figures can be told."""

import math

import numpy as np
import pytest

pytest.importorskip("torch")

from typer.testing import CliRunner

from ainerd_bluesky.bench import model as bench
from ainerd_bluesky.bench.commands import bench_app
from ainerd_bluesky.bench.model import ModelBenchmark
from ainerd_bluesky.bench.model_measured import (
    measured_rows,
    rate_figures,
    reconstruction_error,
    same_target_share,
)
from ainerd_bluesky.bench.model_rows import ModelRow
from ainerd_bluesky.bench.model_simulated import (
    accuracy_at_coverage,
    few_examples_accuracy,
)
from ainerd_bluesky.bench.model_steadiness import (
    CHANGES,
    draw_clear_maps,
    relative_shift,
    steadiness_rows,
)
from ainerd_bluesky.bench.representations import BASELINES
from ainerd_bluesky.ml import load_model
from ainerd_bluesky.ml.measured_maps import ChxCrops

CARD = {"name": "toy", "version": "1", "sha256": "ab" * 32, "training": {}}


@pytest.mark.parametrize(
    ("value", "more_is_better", "is_met"),
    [
        (0.2, False, True),
        (0.4, False, False),
        (0.4, True, True),
        (0.2, True, False),
        (math.nan, True, None),
    ],
)
def test_target_is_a_bound_of_its_side(value, more_is_better, is_met):
    assert ModelRow("x", value, 0.3, more_is_better).is_met is is_met


@pytest.fixture
def crops(rng):
    """Sixty experiments of ten crops, whose level is their rate."""
    experiments = np.repeat([f"experiment{number}" for number in range(60)], 10)
    log_rate = np.repeat(rng.uniform(-2, 0, 60), 10)
    return ChxCrops(
        crops=np.ones((600, 50, 50), np.float32),
        target_index=np.repeat(np.arange(60), 10),
        experiments=experiments,
        log_rate=log_rate,
    )


def test_rate_is_told_by_what_holds_it(crops, rng):
    exact = crops.log_rate[:, None] + rng.normal(0, 1e-3, (600, 1))

    knowing = rate_figures(exact, crops)
    guessing = rate_figures(rng.normal(size=(600, 1)), crops)

    # sixty rates over two decades: neighbours are a thirtieth of a decade apart
    assert knowing.rmse < 0.12 < 0.3 < guessing.rmse
    assert knowing.rho > 0.97 > 0.3 > abs(guessing.rho)


@pytest.mark.parametrize(("spread", "share"), [(1e-3, 1.0), (1e3, 0.0)])
def test_same_target_is_nearest_where_noise_is_small(rng, spread, share):
    target = np.repeat(np.arange(200), 2)
    Z = target[:, None] + rng.normal(0, spread, (400, 1))

    # by chance one neighbour in 399 is the right one
    assert same_target_share(Z, target) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (-3.0, 7.0)])
def test_reconstruction_is_compared_up_to_contrast_and_baseline(gain, offset):
    row = np.linspace(0.0, 1.0, 64)
    two_time = np.add.outer(row, row) / 2

    assert reconstruction_error(two_time, gain * two_time + offset) < 1e-12
    assert reconstruction_error(two_time, np.ones((64, 64))) > 0.1


def test_without_measurements_every_row_says_so(tmp_path):
    rows = measured_rows(None, tmp_path / "nowhere")

    assert len(rows) == 5
    assert all("nowhere is no folder" in row.note for row in rows)
    assert {row.is_met for row in rows} == {None}


@pytest.mark.parametrize(("coverage", "share"), [(0.5, 1.0), (1.0, 0.75)])
def test_abstaining_leaves_the_doubtful_out(coverage, share):
    confidence = np.array([0.9, 0.8, 0.4, 0.3])
    is_right = np.array([True, True, False, True])

    assert accuracy_at_coverage(confidence, is_right, coverage) == share


def test_five_examples_tell_words_that_are_apart(rng):
    labels = np.repeat(["calm", "odd", "wild"], 30)
    Z = np.repeat(np.eye(3), 30, axis=0) + rng.normal(0, 0.05, (90, 3))

    assert few_examples_accuracy(Z, labels) == 1.0
    assert few_examples_accuracy(rng.normal(size=(90, 3)), labels) < 0.6


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_give_one_row_a_map(name, rng):
    maps = list(rng.normal(1.0, 0.1, (25, 50, 50)).astype(np.float32))

    assert len(BASELINES[name](maps)) == 25


@pytest.fixture(scope="module")
def clear_map():
    return draw_clear_maps(1, 0)[0]


@pytest.mark.parametrize("name", CHANGES)
def test_changes_keep_the_map_symmetric(name, clear_map):
    change, _, _ = CHANGES[name]

    changed = change(clear_map)

    np.testing.assert_allclose(changed, changed.T, rtol=1e-6)
    assert changed.dtype == np.float32


@pytest.mark.parametrize(("step", "shift"), [(0.0, 0.0), (0.5, 0.5), (2.0, 2.0)])
def test_shift_is_in_distances_of_neighbours(step, shift):
    before = np.arange(10.0)[:, None]

    assert relative_shift(before, before + step) == pytest.approx(shift)


@pytest.fixture
def measured(monkeypatch):
    """Stand in for minutes of work; returns what was asked for."""
    asked = {}

    def measure(model, **options):
        asked.update(options, model=model)
        rows = [ModelRow("words: top-1", 0.5, 0.95, more_is_better=True)]
        return ModelBenchmark([*rows, ModelRow("left out", note="why")], CARD)

    monkeypatch.setattr(bench, "bench_model", measure)
    return asked


def test_command_hands_on_and_prints(measured, tmp_path):
    path = tmp_path / "figures.json"
    command = ["model", "--model", "m", "--quick", "--json", str(path)]

    done = CliRunner().invoke(bench_app, [*command, "--data", str(tmp_path)])

    assert done.exit_code == 0, done.output
    assert (measured["model"], measured["quick"]) == ("m", True)
    assert "miss" in done.output
    assert '"is_met": false' in path.read_text()


def test_figure_that_there_is_not_is_null_in_json():
    content = ModelBenchmark([ModelRow("x")], CARD, {}).as_json()

    assert content["rows"][0]["value"] is None
    assert content["rows"][0]["is_met"] is None


def test_what_is_no_dynamics_hardly_moves_the_fingerprint():
    rows = steadiness_rows(load_model("shipped"), draw_clear_maps(160, 1))

    assert {row.subject: row.value for row in rows if not row.is_met} == {}
