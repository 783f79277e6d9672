"""What the commands show a person."""

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ainerd_bluesky.figures import draw_two_time_gallery
from ainerd_bluesky.pipeline import Analysis
from ainerd_bluesky.vocabulary import Label
from ainerd_bluesky.xpcs.aging import fit_relaxation_by_age
from flows.archive import ASSUMED, Ingested

__all__ = ["draw_analysis", "print_analysis", "print_ingested", "print_json"]

_BAR_WIDTH = 24
_N_AGES = 14
_DRIFTING = {Label.AGING, Label.ACCELERATING, Label.TRANSITION}


def print_json(analysis: Analysis) -> None:
    """Print the summary for machines."""
    Console().print_json(json.dumps(analysis.summary))


def print_analysis(analysis: Analysis, console: Console | None = None) -> None:
    """Print label, probabilities and physics for a person."""
    console = console or Console()
    summary = analysis.summary
    console.print(
        f"[bold]{summary['label']}[/]  confidence {summary['confidence']:.2f}"
        f"  novelty {summary['novelty']:.2f}  cluster {summary['cluster']}"
    )
    for reason in summary["quality"]["reasons"]:
        console.print(f"  [yellow]{reason}[/]")
    if _is_per_frame(analysis):
        console.print("  frame time unknown (--frame-time): rates are per frame")
    if summary["label"] == Label.INVALID:
        return
    console.print(_probability_table(summary["probabilities"]))
    console.print(_bin_table(analysis))
    if summary["label"] in _DRIFTING:
        console.print(_age_table(analysis))


def draw_analysis(analysis: Analysis, path: Path) -> None:
    """Draw the two-time map of each q-bin with its label into a PNG file."""
    titles = [
        f"q-bin {q_bin}: {label} {confidence:.2f}"
        for q_bin, label, confidence in zip(
            analysis.bins["q_bin"],
            analysis.bins["label"],
            analysis.bins["confidence"],
            strict=True,
        )
    ]
    draw_two_time_gallery(list(analysis.arrays["two_time"]), titles, path)


def print_ingested(rows: Iterable[Ingested], n_files: int) -> list[Ingested]:
    """Show progress while files are ingested, then a summary.

    Parameters
    ----------
    rows : iterable of Ingested
        One a file, as they come.
    n_files : int
        How many will come.

    Returns
    -------
    list of Ingested
        The rows.
    """
    console = Console()
    done = list(_with_progress(rows, n_files, console))
    table = Table("file", "label", "confidence", "relaxation time", "node")
    for row in done:
        if row.summary is not None:
            table.add_row(
                row.path.name,
                row.summary["label"],
                f"{row.summary['confidence']:.2f}",
                _number(row.summary["physics"].get("relaxation_time"), " s"),
                row.summary["run_uid"],
            )
    if table.row_count:
        console.print(table)
    failed = [row for row in done if row.error]
    for row in failed:
        console.print(f"[red]not read[/] {row.error}", soft_wrap=True, highlight=False)
    for remark in filter(None, (row.remark for row in done)):
        console.print(f"[yellow]note[/] {remark}", soft_wrap=True, highlight=False)
    console.print(f"{len(done) - len(failed)} of {n_files} files labelled")
    return done


def _with_progress(
    rows: Iterable[Ingested], n_files: int, console: Console
) -> Iterator[Ingested]:
    yield from track(rows, "classifying", total=n_files, console=console)


def _probability_table(probabilities: dict[str, float]) -> Table:
    table = Table("label", "probability", "", box=None)
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    for label, probability in ranked[:4]:
        bar = "█" * round(probability * _BAR_WIDTH)
        table.add_row(label, f"{probability:.3f}", f"[cyan]{bar}[/]")
    return table


def _bin_table(analysis: Analysis) -> Table:
    unit = "1/frame" if _is_per_frame(analysis) else "1/s"
    table = Table(
        "q-bin", "q [1/Å]", "label", "confidence", f"rate [{unit}]", "alpha", "beta"
    )
    bins = analysis.bins
    for index, q_bin in enumerate(bins["q_bin"]):
        table.add_row(
            str(q_bin),
            _number(bins["q"][index]),
            bins["label"][index],
            f"{bins['confidence'][index]:.2f}",
            *(
                _with_error(bins[name][index], bins[f"{name}_err"][index])
                for name in ("relaxation_rate", "alpha", "beta")
            ),
        )
    return table


def _age_table(analysis: Analysis) -> Table:
    frame_time = analysis.summary["frame_time"] or 1.0
    q_bin = analysis.summary["physics"]["q_bin"] or 1
    two_time = analysis.arrays["two_time"][q_bin - 1]
    by_age = fit_relaxation_by_age(
        two_time, frame_time, age_step=max(1, len(two_time) // _N_AGES)
    )
    unit = "frame" if _is_per_frame(analysis) else "s"
    table = Table(
        f"age [{unit}]",
        f"rate [1/{unit}]",
        "alpha",
        title=f"relaxation by age, q-bin {q_bin}",
        title_justify="left",
    )
    for row in np.flatnonzero(by_age.is_trusted):
        table.add_row(
            f"{by_age.age[row]:.4g}",
            _with_error(by_age.relaxation_rate[row], by_age.relaxation_rate_err[row]),
            _with_error(by_age.alpha[row], by_age.alpha_err[row]),
        )
    return table


def _is_per_frame(analysis: Analysis) -> bool:
    return bool(analysis.provenance["metadata"].get("frame_time_from") == ASSUMED)


def _number(value: float | None, unit: str = "") -> str:
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.4g}{unit}"


def _with_error(value: float | None, error: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "-"
    if error is None or not math.isfinite(error):
        return f"{value:.3g}"
    return f"{value:.3g} ± {error:.1g}"
