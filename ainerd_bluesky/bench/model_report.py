"""The table of a model's figures."""

import math

from rich import box
from rich.markup import escape
from rich.table import Table

from ainerd_bluesky.bench.model import ModelBenchmark
from ainerd_bluesky.bench.model_rows import ModelRow

__all__ = ["model_table"]

_VERDICTS = {True: "[green]met[/]", False: "[red]miss[/]", None: ""}


def model_table(benchmark: ModelBenchmark) -> Table:
    """Make the table of a benchmark.

    Parameters
    ----------
    benchmark : ModelBenchmark
        What was measured.

    Returns
    -------
    Table
        One line a row; a figure that there is not is a dash.
    """
    card = benchmark.card
    table = Table(
        title=f"{card['name']} {card['version']}, sha256 {card['sha256'][:12]}",
        caption="Figures of the published weights and gate are quoted, not measured; "
        f"all others are of this run.\n{benchmark.machine.get('processor', '')}",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in ("figure", "measured", "target", "", "others", "note"):
        is_number = name in {"measured", "target"}
        table.add_column(name, justify="right" if is_number else "left")
    for row in benchmark.rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: ModelRow) -> list[str]:
    others = ", ".join(f"{name} {value:.3g}" for name, value in row.baselines.items())
    return [
        escape(row.subject),
        "-" if math.isnan(row.value) else f"{row.value:.3g}",
        _target(row),
        _VERDICTS[row.is_met],
        escape(others),
        escape(row.note),
    ]


def _target(row: ModelRow) -> str:
    if row.target is None:
        return "-"
    return f"{'≥' if row.more_is_better else '≤'} {row.target:g}"
