"""Dynamics against properties as a picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ainerd_bluesky.ml.association import Dynamics
from ainerd_bluesky.ml.association_report import Association, AssociationReport
from tiled_adapters.embedding_picture import label_colours

__all__ = ["draw_associations"]

Floats = NDArray[np.float64]
_UNITS = {"relaxation_rate": "1/s"}
_UNLABELLED = "0.6"
_WIDTH = 34
"""Of a line of text in letters."""


def draw_associations(
    dynamics: Dynamics,
    properties: Mapping[str, Floats],
    report: AssociationReport,
    path: Path,
) -> None:
    """Draw three panels for each property and save them as PNG.

    They show the quantity that goes with it best, the labels, and the prediction from
    the fingerprint in runs held out.

    Parameters
    ----------
    dynamics : Dynamics
        Of the runs.
    properties : mapping of str to ndarray of shape (n_runs,)
        What the report is about.
    report : AssociationReport
        Its answers stand above the panels.
    path : Path
        File to write; its folder must exist.
    """
    words = [str(word) for word in np.unique(dynamics.labels)]
    colours = {"": _UNLABELLED, **label_colours([word for word in words if word])}
    figure = Figure(figsize=(11, 3.3 * len(properties) + 0.4), layout="constrained")
    panels = figure.subplots(len(properties), 3, squeeze=False)
    for row, (name, values) in zip(panels, properties.items(), strict=True):
        subject = _Subject(name, values, dynamics, report, colours)
        for axes, draw in zip(
            row, (_draw_quantity, _draw_labels, _draw_prediction), strict=True
        ):
            title = draw(axes, subject)
            axes.set_title(title, fontsize=10)
    marks = [
        Line2D(
            [], [], marker="o", ms=4, ls="", color=colours[word], label=word or "none"
        )
        for word in words
    ]
    legend = figure.legend(
        handles=marks,
        loc="outside lower center",
        ncols=min(len(words), 6),
        frameon=False,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png", dpi=120)


@dataclass(frozen=True, eq=False)
class _Subject:
    """One property and all that is drawn of it."""

    name: str
    values: Floats
    dynamics: Dynamics
    report: AssociationReport
    colours: Mapping[str, str]

    def answers(self, *measures: str) -> list[Association]:
        """Return the answers by these measures, the surest first."""
        chosen = [one for one in self.report.of(self.name) if one.measure in measures]
        return sorted(chosen, key=lambda one: (one.p_value, -abs(one.value)))

    def scatter(self, axes: Axes, x: Floats, y: Floats, rows: NDArray[np.intp]) -> None:
        """Draw points in the colours of their labels."""
        labels = self.dynamics.labels[rows]
        for word, colour in self.colours.items():
            chosen = labels == word
            axes.plot(x[chosen], y[chosen], "o", ms=4, alpha=0.7, color=colour)


def _draw_quantity(axes: Axes, subject: _Subject) -> str:
    """Draw the property against the quantity that goes with it best."""
    ranked = subject.answers("spearman")
    if not ranked:
        return _blank(axes, "no quantity known for enough runs")
    quantity = subject.dynamics.physics[ranked[0].dynamics]
    subject.scatter(axes, subject.values, quantity, np.arange(len(quantity)))
    low, high = np.nanmin(quantity), np.nanmax(quantity)
    if low > 0 and high > 5 * low:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(
            lambda tick, _: f"{tick:g}" if f"{tick:.0e}"[0] in "25" else ""
        )
    unit = _UNITS.get(ranked[0].dynamics)
    label = ranked[0].dynamics.replace("_", " ") + (f" [{unit}]" if unit else "")
    axes.set_xlabel(_lines(subject.name), parse_math=False)
    axes.set_ylabel(label)
    return f"rank correlation {ranked[0].value:.2f}, {_chance(ranked[0])}"


def _draw_labels(axes: Axes, subject: _Subject) -> str:
    """Draw the property of each label's runs, side by side."""
    labels = subject.dynamics.labels
    words = [word for word in subject.colours if word]
    for position, word in enumerate(words):
        values = subject.values[labels == word]
        # Points are spread, always in the same way, to be told apart.
        spread = 0.5 * ((0.618 * np.arange(len(values))) % 1 - 0.5)
        colour = subject.colours[word]
        axes.plot(position + spread, values, "o", ms=4, alpha=0.7, color=colour)
    ticks = [_lines(word) for word in words]
    axes.set_xticks(range(len(words)), ticks, rotation=20, ha="right", parse_math=False)
    axes.set_xlim(-0.6, len(words) - 0.4)
    axes.set_ylabel(_lines(subject.name), parse_math=False)
    told = subject.answers("mutual_information")
    if not told:
        return "the label tells nothing: all runs have the same"
    bits = f"{told[0].value:.2f} bit (chance {told[0].chance:.2f})"
    return f"the label tells {bits}, {_chance(told[0])}"


def _draw_prediction(axes: Axes, subject: _Subject) -> str:
    """Draw the property as predicted in runs held out."""
    made = [one for one in subject.report.predictions if one.name == subject.name]
    if not made:
        return _blank(axes, "fingerprints of too few runs")
    measured, predicted = made[0].measured, made[0].predicted
    subject.scatter(axes, measured, predicted, made[0].rows)
    both = np.concatenate([measured, predicted])
    axes.plot([both.min(), both.max()], [both.min(), both.max()], color="0.6", lw=1)
    axes.set_xlabel(_lines(subject.name), parse_math=False)
    axes.set_ylabel(f"predicted by {made[0].measure}")
    (answer,) = subject.answers(made[0].measure)
    return f"from the fingerprint: Q2 {answer.value:.2f}, {_chance(answer)}"


def _lines(name: str) -> str:
    return fill(name, _WIDTH)


def _blank(axes: Axes, why: str) -> str:
    axes.set_axis_off()
    return why


def _chance(answer: Association) -> str:
    return f"p = {answer.p_adjusted:.2g}"
