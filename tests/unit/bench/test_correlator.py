"""The benchmark as a whole, its order of runs and what it complains about."""

import pytest
from rich.console import Console

from ainerd_bluesky.bench import correlator
from ainerd_bluesky.bench.cases import QUICK_CASES, Case, small
from ainerd_bluesky.bench.comparisons import Comparison
from ainerd_bluesky.bench.correlator import Benchmark, bench_correlator
from ainerd_bluesky.bench.measure import measure_in_child
from ainerd_bluesky.bench.peers import Peer
from ainerd_bluesky.bench.report import benchmark_table
from ainerd_bluesky.bench.rows import Row
from ainerd_bluesky.errors import ConfigError

CASE = Case("A", 1000, 50_000, 20, 2.1)
INSTALLED = Peer("boost-corr", "0.1.7", "pip install boost-corr")
MISSING = Peer("boost-corr", "", "pip install boost-corr")


def line(job, peer_job="", peer=""):
    return Comparison(job, "A", job, peer_job, peer)


def benchmark(*rows, peer=INSTALLED):
    machine = {"processor": "a processor", "software": {"numpy": "2"}}
    return Benchmark(list(rows), {}, {"A": CASE}, {"boost-corr": peer}, machine)


def row(**fields):
    return Row(
        **{"subject": "work", "case": "A", "unit": "of peer", "target": 0.2} | fields
    )


def printed(measured, width=120):
    console = Console(width=width)
    with console.capture() as capture:
        console.print(benchmark_table(measured))
    return capture.get()


def test_peer_and_own_work_take_turns():
    lines = [line("own", "theirs", "boost-corr"), line("other", "theirs", "boost-corr")]
    steps = correlator._steps(lines, {"boost-corr": INSTALLED}, {"A": CASE}, 2)
    once = [("theirs", "A"), ("own", "A"), ("other", "A")]
    assert steps == once * 2


def test_peer_that_is_not_installed_is_left_out():
    lines = [line("own", "theirs", "boost-corr"), line("small", "own")]
    steps = correlator._steps(lines, {"boost-corr": MISSING}, {"A": CASE}, 1)
    assert steps == [("own", "A"), ("small", "A")]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"value": 0.5}, "0.5 of peer, target 0.2"),
        ({"value": 0.1, "checks": {"g2": 0.1}}, "results differ"),
        ({"error": "own: killed"}, "own: killed"),
        ({"peer": "boost-corr"}, "boost-corr is not installed"),
    ],
    ids=["slow", "wrong", "failed", "no peer"],
)
def test_what_is_not_well_is_said(fields, message):
    (failure,) = benchmark(row(**fields)).failures
    assert failure.startswith("work (A): ")
    assert message in failure


def test_nothing_is_said_of_what_is_well():
    rows = [row(value=0.1), row(value=0.9, target=None)]
    assert not benchmark(*rows).failures


def test_peers_that_are_missing_are_those_of_the_table():
    assert benchmark(row(), peer=MISSING).missing_peers == []
    assert benchmark(row(peer="boost-corr"), peer=MISSING).missing_peers == [MISSING]


def test_table_tells_figure_target_and_verdict():
    text = printed(benchmark(row(value=0.125, own_seconds=1.0, peer_seconds=8.0)))
    cells = ["work", "A", "1", "8", "0.125", "≤", "0.2", "met", "-", "-"]
    assert cells in [line.split() for line in text.splitlines()]


@pytest.mark.parametrize(
    ("unit", "cells"),
    [
        ("frames/s", "900 fps"),
        ("% of peak", "900 %"),
        ("x faster", "900x"),
        ("MB", "900 MB"),
    ],
)
def test_table_tells_the_unit(unit, cells):
    assert cells in printed(benchmark(row(unit=unit, value=900.0)))


def test_results_that_differ_are_red():
    table = benchmark_table(benchmark(row(checks={"g2": 0.1}, tolerance=1e-5)))
    assert list(table.columns[-1].cells) == ["[red]1e-01[/]"]


def test_lines_fit_a_terminal():
    text = printed(benchmark(row(subject="two-time static-frame", value=0.1)), width=80)
    assert "static-frame" in text


def test_unknown_case_is_named():
    with pytest.raises(ConfigError, match=r"no case Z; there are A, B"):
        bench_correlator(cases=["Z"])


def test_child_that_fails_says_why(tmp_path):
    case = small(QUICK_CASES["A"])
    figures = measure_in_child("no such job", case, tmp_path)
    assert "no such job" in figures.error


@pytest.mark.slow
def test_quick_benchmark_measures_compares_and_agrees(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("boost_corr")
    steps = []
    measured = bench_correlator(
        cases=["A"],
        quick=True,
        n_repeats=1,
        progress=lambda *step: steps.append(step),
        parent=tmp_path,
    )
    assert steps[-1] == ("done", steps[-1][2], steps[-1][2])
    compared = [row for row in measured.rows if row.peer == "boost-corr"]
    assert len(compared) == 5
    assert all(row.agrees and not row.error for row in measured.rows)
    assert all(row.value > 0 and row.peak_mb >= 0 for row in measured.rows)
    assert not list(tmp_path.iterdir())
