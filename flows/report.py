"""What the commands show a person."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table
from rich.text import Text

from ainerd_bluesky.figures import draw_two_time_gallery
from ainerd_bluesky.json_values import as_json
from ainerd_bluesky.pipeline import Analysis
from ainerd_bluesky.vocabulary import Label
from ainerd_bluesky.xpcs.relaxation.aging import fit_relaxation_by_age
from flows.archive import ASSUMED, Ingested

__all__ = ["draw_analysis", "print_analysis", "print_ingested", "print_json"]

_BAR_WIDTH = 24
_N_AGES = 14
_DRIFTING = {Label.AGING, Label.ACCELERATING, Label.TRANSITION}


def print_json(analysis: Analysis) -> None:
    """Print the summary, the recipe, the q-bins and the rates by age for machines."""
    known = {"frame_time": None} if _is_per_frame(analysis) else {}
    rows = zip(*analysis.bins.values(), strict=True)
    answer = {
        **analysis.summary,
        **known,
        "time_unit": _time_unit(analysis),
        "recipe": analysis.recipe,
        "bins": [dict(zip(analysis.bins, row, strict=True)) for row in rows],
        "by_age": _ages(analysis),
    }
    Console(emoji=False).print_json(json.dumps(as_json(answer)))


def print_analysis(analysis: Analysis, console: Console | None = None) -> None:
    """Print label, probabilities and physics for a person."""
    console = console or Console(emoji=False)
    summary = analysis.summary
    console.print(
        f"[bold]{escape(summary['label'])}[/]"
        f"  confidence {_share(summary['confidence'])}"
        f"  novelty {_share(summary['novelty'])}  cluster {summary['cluster']}"
    )
    for reason in summary["quality"]["reasons"]:
        console.print(Text(f"  {reason}", "yellow"))
    if _is_per_frame(analysis):
        console.print("  frame time unknown (--frame-time): rates are per frame")
    if summary["label"] == Label.INVALID:
        return
    console.print(_probability_table(summary["probabilities"]))
    console.print(_bin_table(analysis))
    if ages := _ages(analysis):
        console.print(_age_table(ages, analysis))


def draw_analysis(analysis: Analysis, path: Path) -> None:
    """Draw the two-time map of each q-bin with its label into a PNG file."""
    if "two_time" not in analysis.arrays:
        Console(stderr=True).print("nothing to draw: there are no maps")
        return
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
    console = Console(emoji=False)
    done: list[Ingested] = []
    try:
        done.extend(track(rows, "classifying", total=n_files, console=console))
    finally:  # also when somebody stops it
        _print_outcome(done, console)
    return done


def _print_outcome(rows: Sequence[Ingested], console: Console) -> None:
    labelled = [row for row in rows if row.summary is not None]
    if labelled:
        console.print(_ingested_table(labelled))
    for row in rows:
        if row.error is not None:
            console.print(_failure(row), soft_wrap=True)
    for note in _notes(labelled):
        console.print(Text.assemble(("note", "yellow"), f" {note}"), soft_wrap=True)
    console.print(Text(_outcome(rows)))


def _ingested_table(rows: Iterable[Ingested]) -> Table:
    table = _table("file", "label", "confidence", "relaxation time", "q [1/Å]")
    for row in rows:
        summary = row.summary or {}
        physics = summary["physics"]
        _add_row(
            table,
            row.path.name,
            summary["label"],
            _share(summary["confidence"]),
            _number(physics.get("relaxation_time"), " s"),
            _number(physics.get("q")),
        )
    return table


def _failure(row: Ingested) -> Text:
    mark = ("not read", "red") if row.is_done else ("not done", "yellow")
    error = str(row.error)
    place = "" if row.path.name in error else f"{row.path}: "
    return Text.assemble(mark, f" {place}{error}")


def _notes(rows: Iterable[Ingested]) -> list[str]:
    """Return what may be done better next time: one line a folder, one for all."""
    remarks: dict[Path, list[str]] = defaultdict(list)
    n_timeless = 0
    for row in rows:
        if row.remark is not None:
            remarks[row.path.parent].append(row.remark)
        n_timeless += row.summary is not None and row.summary["frame_time"] is None
    notes = [
        f"{_n_files(len(texts), 'is', 'are')} not served in place, in {folder}: "
        f"{texts[0]}"
        for folder, texts in remarks.items()
    ]
    if n_timeless:
        notes.append(
            f"{_n_files(n_timeless, 'tells', 'tell')} no frame time: name it with "
            "--frame-time to get rates"
        )
    return notes


def _n_files(n_files: int, one: str, many: str) -> str:
    """Return the number of files and the verb that belongs to it."""
    return f"1 file {one}" if n_files == 1 else f"{n_files} files {many}"


def _outcome(rows: Iterable[Ingested]) -> str:
    counts = dict.fromkeys(("labelled", "invalid", "not read", "not done"), 0)
    for row in rows:
        counts[_state(row)] += 1
    if not counts["not done"]:
        del counts["not done"]
    return ", ".join(f"{count} {state}" for state, count in counts.items())


def _state(row: Ingested) -> str:
    if row.summary is None:
        return "not read" if row.is_done else "not done"
    return "invalid" if row.summary["label"] == Label.INVALID else "labelled"


def _table(
    *headers: str,
    title: str | None = None,
    caption: str | None = None,
    is_plain: bool = False,
) -> Table:
    """Return a table whose headers are taken as they are, brackets and all."""
    plain = {"box": None, "pad_edge": False, "collapse_padding": True}
    options: dict[str, Any] = plain if is_plain else {}
    table = Table(title=title, title_justify="left", caption=caption, **options)
    for header in headers:
        # A label is a word to search for: other columns give way.
        table.add_column(escape(header), overflow="fold", no_wrap=header == "label")
    return table


def _add_row(table: Table, *cells: str) -> None:
    table.add_row(*map(Text, cells))


def _probability_table(probabilities: dict[str, float]) -> Table:
    table = _table("label", "probability", "", is_plain=True)
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    for label, probability in ranked[:4]:
        bar = Text("█" * round(probability * _BAR_WIDTH), "cyan")
        table.add_row(Text(label), f"{probability:.3f}", bar)
    return table


def _bin_table(analysis: Analysis) -> Table:
    rate = f"rate [1/{_time_unit(analysis)}]"
    headers = ("q-bin", "q [1/Å]", "label", "confidence", rate, "alpha", "beta")
    # Without lines between the columns all of them fit into 80 characters.
    table = _table(*headers, is_plain=True)
    bins = analysis.bins
    for index, q_bin in enumerate(bins["q_bin"]):
        _add_row(
            table,
            str(q_bin),
            _number(bins["q"][index]),
            bins["label"][index],
            _share(bins["confidence"][index]),
            *(
                _with_error(bins[name][index], bins[f"{name}_err"][index])
                for name in ("relaxation_rate", "alpha", "beta")
            ),
        )
    return table


def _ages(analysis: Analysis) -> list[dict[str, float]]:
    """Return the trusted fits by age where the dynamics drift; none elsewhere."""
    if analysis.summary["label"] not in _DRIFTING:
        return []
    two_time = analysis.arrays["two_time"][_reference_bin(analysis)]
    by_age = fit_relaxation_by_age(
        two_time,
        analysis.summary["frame_time"] or 1.0,
        age_step=max(1, len(two_time) // _N_AGES),
    )
    columns = ("age", "relaxation_rate", "relaxation_rate_err", "alpha", "alpha_err")
    return [
        {name: float(getattr(by_age, name)[row]) for name in columns}
        for row in np.flatnonzero(by_age.is_trusted)
    ]


def _age_table(ages: Iterable[dict[str, float]], analysis: Analysis) -> Table:
    unit = _time_unit(analysis)
    q_bin = analysis.bins["q_bin"][_reference_bin(analysis)]
    table = _table(
        f"age [{unit}]",
        f"rate [1/{unit}]",
        "alpha",
        title=f"relaxation by age, q-bin {q_bin}",
        caption="± one standard error",
    )
    for row in ages:
        _add_row(
            table,
            f"{row['age']:.4g}",
            _with_error(row["relaxation_rate"], row["relaxation_rate_err"]),
            _with_error(row["alpha"], row["alpha_err"]),
        )
    return table


def _reference_bin(analysis: Analysis) -> int:
    """Return the index of the q-bin whose relaxation stands for the run."""
    return analysis.summary["physics"]["bin_index"] or 0


def _time_unit(analysis: Analysis) -> str:
    return "frame" if _is_per_frame(analysis) else "s"


def _is_per_frame(analysis: Analysis) -> bool:
    return bool(analysis.provenance["metadata"].get("frame_time_from") == ASSUMED)


def _number(value: float | None, unit: str = "") -> str:
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.4g}{unit}"


def _share(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.2f}"


def _with_error(value: float | None, error: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "-"
    if error is None or not math.isfinite(error):
        return f"{value:.3g}"
    return f"{value:.3g}±{error:.1g}"
