"""Table of the selector's benchmark."""

import math

from rich import box
from rich.markup import escape
from rich.table import Table

from ainerd_bluesky.bench.selection import SelectionBenchmark
from ainerd_bluesky.bench.selection_rows import SelectionRow

__all__ = ["selection_table"]

_NUMBERS = {"selector", "other", "ratio", "target"}


def selection_table(benchmark: SelectionBenchmark) -> Table:
    """Make the table of a benchmark.

    Parameters
    ----------
    benchmark : SelectionBenchmark
        What was measured.

    Returns
    -------
    Table
        One line a row.
    """
    seeds = benchmark.seeds
    table = Table(
        title="The selector against simple ways to choose, medians over campaigns",
        caption=f"{len(seeds)} campaigns of each kind, seeds {seeds[0]} to "
        f"{seeds[-1]}, {benchmark.seconds:.0f} s.\n"
        "In brackets: 9 of 10 ratios if campaigns are drawn again from themselves.",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in ("campaigns", "compared", "selector", "other", "ratio", "target", ""):
        table.add_column(name, justify="right" if name in _NUMBERS else "left")
    for row in benchmark.rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: SelectionRow) -> list[str]:
    form = ".3f" if row.unit == "of the map" else ".0f"
    verdict = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[row.is_met]
    is_ratio = not math.isnan(row.other)
    low, high = row.interval
    return [
        escape(row.scenario),
        escape(row.subject),
        f"{row.own:{form}}" if is_ratio else f"{row.own:{form}} {row.unit}",
        f"{row.other:{form}}" if is_ratio else "-",
        f"{row.value:.2f} ({low:.2f}-{high:.2f})" if is_ratio else "-",
        "-" if row.target is None else f"≤ {row.target:g}",
        verdict,
    ]
