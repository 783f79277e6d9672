"""The table of a benchmark."""

import math

from rich import box
from rich.markup import escape
from rich.table import Table

from ainerd_bluesky.bench.comparisons import AT_LEAST
from ainerd_bluesky.bench.correlator import Benchmark
from ainerd_bluesky.bench.rows import Row

__all__ = ["benchmark_table"]

_TEXTS = ("work", "case", "engine", "")
_COLUMNS = (
    "work", "case", "engine", "own", "peer", "figure", "target", "", "MB", "diff",
)  # fmt: skip
_SHORT_UNITS = {
    "of peer": "",
    "s": " s",
    "MB": " MB",
    "frames/s": " fps",
    "x faster": "x",
    "% of peak": " %",
    "power of n": "",
}


def benchmark_table(benchmark: Benchmark) -> Table:
    """Make the table of a benchmark, for a terminal of 80 columns.

    Parameters
    ----------
    benchmark : Benchmark
        What was measured.

    Returns
    -------
    Table
        One line a row; a figure that there is not is a dash.
    """
    versions = benchmark.machine["software"]
    named = ("numpy", "torch", "numba", "boost-corr")
    software = ", ".join(f"{name} {versions.get(name, '-')}" for name in named)
    table = Table(
        title="CPU-seconds, one thread, fastest repeat",
        caption="The peer is boost-corr, or what the line names.\n"
        "MB are above the data; diff is the largest difference.\n"
        f"{benchmark.machine['processor']}\n{software}",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=0,
    )
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name in _TEXTS else "right")
    for row in benchmark.rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: Row) -> list[str]:
    unit = _SHORT_UNITS[row.unit]
    return [
        escape(row.subject),
        escape(row.case),
        escape(row.engine),
        _number(row.own_seconds),
        _number(row.peer_seconds),
        f"{_number(row.value)}{unit}",
        _target(row),
        _verdict(row),
        _number(row.peak_mb, ".0f"),
        _difference(row),
    ]


def _number(value: float, form: str = ".3g") -> str:
    return "-" if math.isnan(value) else format(value, form)


def _target(row: Row) -> str:
    if row.target is None:
        return "-"
    return f"{'≥' if row.unit in AT_LEAST else '≤'} {row.target:g}"


def _verdict(row: Row) -> str:
    if row.error:
        return "[red]failed[/]"
    words = {True: "[green]met[/]", False: "[red]miss[/]", None: ""}
    return words[row.is_met]


def _difference(row: Row) -> str:
    if not row.checks:
        return "-"
    largest = f"{max(row.checks.values()):.0e}"
    return largest if row.agrees else f"[red]{largest}[/]"
