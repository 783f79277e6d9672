"""The table of the demonstration: one row a scan, filled in as labels come."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any

from rich.table import Table

__all__ = ["Row", "ScanLog", "table"]


@dataclass
class Row:
    """One scan."""

    sample: str
    truth: str
    uid: str
    label: str | None = None
    confidence: float | None = None
    relaxation_time: float | None = None
    """In seconds; None where the dynamics has none that can be told."""
    seconds_to_label: float | None = None
    """From the run's stop document to its label."""

    def fill_in(self, summary: Mapping[str, Any], seconds: float) -> None:
        """Take over what was published."""
        self.label = summary["label"]
        self.confidence = summary["confidence"]
        self.relaxation_time = summary["physics"].get("relaxation_time")
        self.seconds_to_label = round(seconds, 2)


class ScanLog:
    """RunEngine callback: a row for each run.

    Parameters
    ----------
    follow : callable
        Returns the future summary of a run's result.
    truth : callable
        Returns the right label of a sample.
    """

    def __init__(
        self,
        follow: Callable[[str], "Future[dict[str, Any] | None]"],
        truth: Callable[[str], str],
    ) -> None:
        self._follow = follow
        self._truth = truth
        self._samples: dict[str, str] = {}
        self._summaries: dict[str, Future[dict[str, Any] | None]] = {}
        self.rows: list[Row] = []

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take one document."""
        if name == "start":
            self._samples[doc["uid"]] = doc["sample"]
        elif name == "stop":
            self._add_row(doc["run_start"], doc["time"])

    def wait(self, timeout: float) -> dict[str, dict[str, Any]]:
        """Wait until each run so far is settled.

        Parameters
        ----------
        timeout : float
            Longest wait, in seconds.

        Returns
        -------
        dict of str to dict
            Sample to summary, for those that have one.
        """
        wait(self._summaries.values(), timeout)
        settled = {
            uid: future.result()
            for uid, future in self._summaries.items()
            if future.done()
        }
        return {
            row.sample: found for row in self.rows if (found := settled.get(row.uid))
        }

    def _add_row(self, uid: str, stop_time: float) -> None:
        sample = self._samples[uid]
        row = Row(sample, self._truth(sample), uid)
        self.rows.append(row)

        def settle(future: Future[dict[str, Any] | None]) -> None:
            if (summary := future.result()) is not None:
                row.fill_in(summary, time.time() - stop_time)

        self._summaries[uid] = self._follow(uid)
        self._summaries[uid].add_done_callback(settle)


def table(rows: Sequence[Row], *, is_truth_shown: bool = False) -> Table:
    """Show rows to a person.

    Parameters
    ----------
    rows : sequence of Row
        Finished or not.
    is_truth_shown : bool
        Whether to tell what each sample really is.

    Returns
    -------
    Table
        For a rich console.
    """
    columns = ["sample", "label", "confidence", "relaxation time", "s to label"]
    shown = Table(*columns, *(["truth", ""] if is_truth_shown else []))
    for row in rows:
        cells = [
            row.sample,
            row.label or "[dim]...[/]",
            _number(row.confidence, ".2f"),
            _number(row.relaxation_time, ".3g", " s"),
            _number(row.seconds_to_label, ".1f"),
        ]
        if is_truth_shown:
            is_right = row.label == row.truth
            cells += [row.truth, "[green]right[/]" if is_right else "[red]wrong[/]"]
        shown.add_row(*cells)
    return shown


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "" if value is None else f"{value:{form}}{unit}"
