"""From repeats to the lines of the table."""

import math

import pytest

from ainerd_bluesky.bench.cases import Case
from ainerd_bluesky.bench.comparisons import COMPARISONS, Comparison
from ainerd_bluesky.bench.measure import Figures
from ainerd_bluesky.bench.rows import rows_of

CASE = Case("A", 1000, 50_000, 20, 2.1)
# The short ones are overhead alone.
SQUARE = {"n_frames": [10, 20, 40, 80, 160], "seconds": [1.0, 1.0, 1.0, 4.0, 16.0]}
LINE = Comparison("two-time, x", "A", "own", "theirs", "boost-corr", target=0.2)


def row_of(line, own=(), peer=()):
    runs = {("own", "A"): list(own), ("theirs", "A"): list(peer)}
    return rows_of(runs, [line], {"A": CASE})[0]


def comparison(unit, target):
    return Comparison("work", "A", "own", "theirs", unit=unit, target=target)


def test_fastest_repeat_counts_on_both_sides():
    own = [Figures(cpu_seconds=3.0), Figures(cpu_seconds=2.0)]
    peer = [Figures(cpu_seconds=10.0), Figures(cpu_seconds=20.0)]
    row = row_of(LINE, own, peer)
    assert (row.value, row.own_seconds, row.peer_seconds) == (0.2, 2.0, 10.0)
    assert row.is_met


def test_most_memory_of_all_repeats_counts():
    assert row_of(LINE, [Figures(peak_mb=30), Figures(peak_mb=90)]).peak_mb == 90


@pytest.mark.parametrize(
    ("unit", "own", "peer", "value", "is_met"),
    [
        ("of peer", Figures(cpu_seconds=3), Figures(cpu_seconds=10), 0.3, True),
        ("s", Figures(cpu_seconds=3), Figures(), 3, False),
        ("x faster", Figures(wall_seconds=2), Figures(wall_seconds=5), 2.5, True),
        ("frames/s", Figures(cpu_seconds=2), Figures(), 500, True),
        ("power of n", Figures(values=SQUARE), Figures(), 2.0, False),
        (
            "% of peak",
            Figures(cpu_seconds=0.25),
            Figures(values={"gops": 400}),
            50,
            True,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_figure_and_target(unit, own, peer, value, is_met):
    row = row_of(comparison(unit, 1.0), [own], [peer])
    assert row.value == pytest.approx(value)
    assert row.is_met == is_met


def test_peer_that_is_not_there_leaves_own_figures():
    row = row_of(LINE, [Figures(cpu_seconds=2.0)])
    assert row.own_seconds == 2.0
    assert math.isnan(row.value)
    assert row.is_met is None


def test_failed_repeat_is_told_and_counts_for_nothing():
    runs = [Figures(error="boom"), Figures(cpu_seconds=2.0)]
    row = row_of(LINE, runs, [Figures(cpu_seconds=20.0)])
    assert row.error == "own: boom"
    assert row.value == 0.1


def test_worst_difference_of_a_peer_decides_whether_results_agree():
    line = Comparison("work", "A", "own", "theirs", "boost-corr", tolerance=1e-5)
    peer = [Figures(checks={"g2": 1e-6}), Figures(checks={"g2": 1e-4})]
    assert not row_of(line, [Figures()], peer).agrees
    assert row_of(line, [Figures()], peer[:1]).agrees


def test_memory_of_the_dense_cases_is_that_of_the_worst():
    lines = [LINE, Comparison("thumbnails", "A", "small", target=1)]
    runs = {
        ("own", "A"): [Figures(cpu_seconds=1, peak_mb=120)],
        ("small", "A"): [Figures(cpu_seconds=1, peak_mb=250)],
    }
    memory = rows_of(runs, lines, {"A": CASE})[-1]
    assert (memory.value, memory.unit, memory.is_met) == (250, "MB", False)


def test_no_line_is_measured_twice():
    keys = [(line.subject, line.case, line.peer) for line in COMPARISONS]
    assert len(keys) == len(set(keys))
