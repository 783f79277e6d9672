"""The table of q-bins: label, quality and physics of each."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.ml.classification import Classification
from ainerd_bluesky.vocabulary import Label
from ainerd_bluesky.xpcs.reduction.result import Reduction

__all__ = ["bin_columns"]


def bin_columns(
    reduction: Reduction,
    answers: Sequence[Classification | None],
    named: Sequence[Classification | None],
    weights: NDArray[np.float64],
) -> dict[str, list[Any]]:
    """Return the table of the q-bins of a run.

    Parameters
    ----------
    reduction : Reduction
        Correlation functions, their fits and quality.
    answers, named : sequence of Classification or None
        What the model says of each bin, and the same with the words of a beamline;
        None where it was not asked.
    weights : ndarray of shape (n_q_bins,)
        What each bin counts in the label of the run.

    Returns
    -------
    dict of str to list
        Columns, equally long; numbers are nan where unknown.
    """
    given = (answer.probabilities for answer in answers if answer is not None)
    classes = sorted({label for probabilities in given for label in probabilities})
    rows = [
        {
            **_bin_row(reduction, index, named[index]),
            "weight": float(weights[index]),
            "model_label": _label(answer),
            **_probability_cells(answer, classes),
        }
        for index, answer in enumerate(answers)
    ]
    names = rows[0] if rows else ()
    return {name: [row[name] for row in rows] for name in names}


def _label(answer: Classification | None) -> str:
    return Label.INVALID.value if answer is None else str(answer.label)


def _probability_cells(
    answer: Classification | None, classes: Sequence[str]
) -> dict[str, float]:
    """Return the model's probabilities, by which a run can be named once more."""
    probabilities = {} if answer is None else answer.probabilities
    return {f"p_{label}": probabilities.get(label, math.nan) for label in classes}


def _bin_row(
    reduction: Reduction, index: int, answer: Classification | None
) -> dict[str, Any]:
    fit = reduction.fits[index]
    quality = reduction.bin_quality[index]
    if answer is not None:
        quality = quality.merge(answer.quality)
    return {
        "q_bin": int(reduction.q_bins[index]),
        "q": float(reduction.q_values[index]),
        "phi": float(reduction.phi_values[index]),
        "label": _label(answer),
        "confidence": 1.0 if answer is None else float(answer.confidence),
        "novelty": 1.0 if answer is None else float(answer.novelty),
        "cluster": -1 if answer is None else int(answer.cluster),
        "quality_ok": quality.ok,
        "flags": ",".join(quality.flags),
        **asdict(fit),
        "relaxation_time": fit.relaxation_time,
    }
