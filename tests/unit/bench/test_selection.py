"""The benchmark of the selector: rows, table, files and exit status."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from ainerd_bluesky.bench import selection as bench
from ainerd_bluesky.bench.commands import bench_app
from ainerd_bluesky.bench.selection import SelectionBenchmark, run_scenarios
from ainerd_bluesky.bench.selection_jobs import Banks
from ainerd_bluesky.bench.selection_report import selection_table
from ainerd_bluesky.bench.selection_rows import (
    FARTHEST,
    GRID,
    RANDOM,
    SELECTOR,
    Outcome,
    SelectionRow,
    rows_of,
    scans_needed,
)
from ainerd_bluesky.bench.selection_scenarios import (
    FIND_RARE,
    GRIDS,
    MAP_MARKS,
    MAP_PHASES,
    QUICK,
    SCENARIOS,
    grid_name,
)
from ainerd_bluesky.bench.selection_speed import decision_row
from ainerd_bluesky.errors import ConfigError

HITS = {"usual": {"0": 0.98}, "starved": {"0": 0.75}}


def quiet(_what, _done, _total):
    pass


def found(own, other):
    """Return two campaigns in which each policy found the last class then."""
    runs = {SELECTOR: own, RANDOM: other, GRID: other, FARTHEST: other}
    return Outcome(
        FIND_RARE, {name: [[[1, 2, n]], [[1, 2, n]]] for name, n in runs.items()}
    )


def mapped(own, other):
    """Return two campaigns with errors that are the same at every mark."""
    curves = {SELECTOR: own, RANDOM: other, FARTHEST: other}
    results = {name: [[[e] * len(MAP_MARKS)]] * 2 for name, e in curves.items()}
    grids = {grid_name(n): [[[float(n**2), other]]] * 2 for n in GRIDS}
    return Outcome(MAP_PHASES, results | grids)


@pytest.mark.parametrize(
    ("error", "n_scans"), [(0.5, 10), (0.3, 15), (0.2, 20), (0.05, math.inf)]
)
def test_scans_lie_between_marks(error, n_scans):
    curve = np.array([0.4, 0.2, *[0.1] * (len(MAP_MARKS) - 2)])
    assert scans_needed(curve, error) == pytest.approx(n_scans)


@pytest.mark.parametrize(("own", "is_met"), [(40, True), (41, False)])
def test_finding_is_measured_against_random(own, is_met):
    to_random, to_grid, to_farthest = rows_of(found(own, 100))
    assert to_random.value == pytest.approx(own / 100)
    assert to_random.interval == (own / 100, own / 100)
    assert to_random.is_met is is_met
    assert to_grid.is_met is to_farthest.is_met is None


def test_scenario_without_target_must_only_not_be_worse():
    outcome = replace(found(105, 100), scenario=replace(FIND_RARE, target=None))
    assert rows_of(outcome)[0].target == pytest.approx(1.1)


def test_mapping_is_measured_against_grids_and_random():
    *to_grids, mean, last = rows_of(mapped(0.02, 0.1))
    assert [row.value for row in to_grids] == [10 / n**2 for n in GRIDS]
    assert [row.is_met for row in to_grids] == [None] * (len(GRIDS) - 1) + [True]
    assert [mean.value, last.value] == pytest.approx([0.2, 0.2])


def test_error_that_is_never_reached_misses_the_target():
    row = rows_of(mapped(0.2, 0.1))[len(GRIDS) - 1]
    assert math.isinf(row.value)
    assert row.is_met is False


def test_negligible_errors_are_alike():
    assert rows_of(mapped(0.004, 0.0001))[-1].value == 1


def test_names_of_scenarios_differ():
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names)
    assert set(QUICK) <= set(names)


def small(scenario, n_samples):
    diagram = replace(scenario.settings.diagram, n_samples=n_samples)
    return replace(scenario, settings=replace(scenario.settings, diagram=diagram))


def test_campaigns_from_end_to_end(bank):
    scenarios = [small(FIND_RARE, 60)]
    one, same = (
        run_scenarios(scenarios, [1, 2], Banks(bank, bank), map, quiet)
        for _ in range(2)
    )
    assert one == same
    assert one[0].runs(SELECTOR).shape == (2, 1, 3)
    assert one[0].runs(RANDOM).shape == (2, 20, 3)
    assert {row.subject.split(" / ")[1] for row in rows_of(one[0])} == {
        RANDOM,
        GRID,
        FARTHEST,
    }


@pytest.mark.slow
def test_maps_from_end_to_end(bank):
    [outcome] = run_scenarios([MAP_PHASES], [1], Banks(bank, bank), map, quiet)
    *_, mean, last = rows_of(outcome)
    assert outcome.runs(SELECTOR).shape == (1, 1, len(MAP_MARKS))
    # without noise the boundary strategy is far better
    assert mean.value < 0.9
    assert last.value < 0.9


def test_decision_is_timed(bank):
    row = decision_row(bank, n_samples=80, n_results=40)
    assert row.unit == "ms"
    assert 0 < row.value == row.own


@pytest.fixture
def benchmark():
    outcomes = [found(30, 100), mapped(0.02, 0.1)]
    rows = [row for outcome in outcomes for row in rows_of(outcome)]
    speed = SelectionRow("9 results", "slowest", 11.0, math.nan, "ms", 11.0, target=100)
    return SelectionBenchmark([*rows, speed], outcomes, [1, 2], HITS, 3.0)


def test_table_has_a_line_for_each_row(benchmark):
    table = selection_table(benchmark)
    assert table.row_count == len(benchmark.rows)
    assert "seeds 1 to 2" in table.caption


def test_everything_is_json(benchmark):
    written = json.loads(json.dumps(benchmark.as_json(), allow_nan=False))
    assert written["rows"][0]["is_met"] is True
    assert written["scenarios"][0]["results"][SELECTOR][0][0][-1] == 30


def test_share_found_is_a_staircase():
    pytest.importorskip("matplotlib")
    from ainerd_bluesky.bench.selection_figure import found_shares

    runs = np.array([[[2.0, 4.0]]])
    shares = found_shares(runs, np.array([1, 2, 3, 4]))
    np.testing.assert_allclose(shares, [[0, 0.5, 0.5, 1]])


@pytest.fixture
def measured(monkeypatch, benchmark):
    """Stand in for minutes of work; returns what was asked for."""
    asked = {}

    def measure(seeds, **options):
        asked.update(options, seeds=seeds)
        options["progress"]("rare", 0, 1)
        return asked.get("benchmark", benchmark)

    monkeypatch.setattr(bench, "bench_selection", measure)
    return asked


def run(*arguments):
    return CliRunner().invoke(bench_app, ["selection", *map(str, arguments)])


def test_command_succeeds_when_all_is_met(measured):
    answer = run("--quick", "--seeds", "3-5", "--processes", 1)
    assert answer.exit_code == 0
    assert "met" in answer.output
    assert measured["seeds"] == [3, 4, 5]
    assert (measured["quick"], measured["n_processes"]) == (True, 1)


def test_command_fails_when_a_target_is_missed(measured, benchmark):
    missed = replace(benchmark.rows[0], value=0.7)
    measured["benchmark"] = replace(benchmark, rows=[missed])
    answer = run()
    assert answer.exit_code == 1
    assert "0.7, target 0.4" in answer.output


def test_figures_are_written(measured, tmp_path):
    pytest.importorskip("matplotlib")
    run("--json", tmp_path / "x.json", "--figure", tmp_path)
    assert json.loads((tmp_path / "x.json").read_text())["seeds"] == [1, 2]
    for name in ("selection-found.png", "selection-map.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json", "no/where.json"], "no folder no to write where.json into"),
        (["--figure", "no/where"], "no folder no/where to draw into"),
        (["--seeds", "many"], "--seeds takes a number or a range"),
        (["--seeds", "9-2"], "its end lies before its start"),
    ],
    ids=["json", "figure", "no number", "backwards"],
)
def test_bad_options_are_refused_first(measured, arguments, message):
    answer = run(*arguments)
    assert isinstance(answer.exception, ConfigError)
    assert message in str(answer.exception)
    assert not measured


@pytest.mark.slow
def test_processes_give_results_in_order():
    with bench._processes(2) as spread:
        assert list(spread(math.sqrt, [1, 4, 9])) == [1, 2, 3]
