"""What a selector refuses, with the value and the cure in the message."""

import itertools
import math
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection.protocols import Candidate, Observation
from ainerd_bluesky.selection.situation import Strategy
from ainerd_bluesky.selection.space import Axis, is_within

__all__ = [
    "check_candidates",
    "check_observation",
    "check_strategy",
    "check_vocabulary",
]

_SHOWN = 8


def check_candidates(
    candidates: Sequence[Candidate], axes: Sequence[Axis]
) -> NDArray[np.float64]:
    """Return the coordinates of candidates that can be told apart and reached.

    Parameters
    ----------
    candidates : sequence of Candidate
        What can be measured.
    axes : sequence of Axis
        One for each coordinate, or none.

    Returns
    -------
    ndarray of float64, shape (n_candidates, n_coordinates)
        All finite.

    Raises
    ------
    SelectionError
        If there are none, names of candidates or axes repeat, coordinates do not fit
        together or to the axes, one is not finite or has no logarithm, or none lies
        inside the limits.
    """
    n_of_name = Counter(candidate.name for candidate in candidates)
    repeated = sorted(name for name, n in n_of_name.items() if n > 1)
    if not n_of_name or repeated:
        raise SelectionError(
            f"candidates need names of their own, got {repeated or 'no candidates'}"
        )
    lengths = {len(candidate.coordinates) for candidate in candidates}
    if len(lengths) != 1 or (axes and lengths != {len(axes)}):
        wanted = f"{len(axes)} coordinates" if axes else "as many coordinates"
        raise SelectionError(f"every candidate needs {wanted}, got {sorted(lengths)}")
    for candidate in candidates:
        _check_candidate(candidate)
    coordinates = np.array([c.coordinates for c in candidates], dtype=float)
    _check_axes(axes, coordinates)
    if not is_within(coordinates, axes).any():
        limits = {axis.name: (axis.low, axis.high) for axis in axes}
        raise SelectionError(f"no candidate lies inside the limits {limits}")
    return coordinates


def check_vocabulary(vocabulary: Sequence[str]) -> tuple[str, ...]:
    """Return a vocabulary whose words differ.

    Parameters
    ----------
    vocabulary : sequence of str
        The labels a result may have.

    Returns
    -------
    tuple of str
        The same.

    Raises
    ------
    SelectionError
        If there is no word or one repeats.
    """
    words = tuple(str(word) for word in vocabulary)
    if not words or len(set(words)) != len(words):
        raise SelectionError(f"a vocabulary needs words that differ, got {words}")
    return words


def check_strategy(strategy: Strategy, vocabulary: Sequence[str]) -> None:
    """Refuse a strategy that looks for what nobody can find.

    Parameters
    ----------
    strategy : Strategy
        What makes a candidate worth measuring.
    vocabulary : sequence of str
        The labels a result may have.

    Raises
    ------
    SelectionError
        If it wants a label that the vocabulary lacks.
    """
    unknown = strategy.unknown_labels(vocabulary)
    if unknown:
        raise SelectionError(
            f"wanted labels must be of {', '.join(vocabulary)}, got {list(unknown)}: "
            "correct them, or make the selector with a vocabulary that has them"
        )


def check_observation(
    observation: Observation, names: Collection[str], vocabulary: Collection[str]
) -> None:
    """Refuse an observation that cannot be learned from.

    Parameters
    ----------
    observation : Observation
        What came in.
    names : collection of str
        Names of the candidates.
    vocabulary : collection of str
        The labels.

    Raises
    ------
    SelectionError
        If its candidate or a label of it is unknown, or a number is out of bounds.
    """
    name = observation.name
    if name not in names:
        known = ", ".join(itertools.islice(names, _SHOWN))
        raise SelectionError(
            f"{name!r} is not a candidate; the first of {len(names)} are {known}: make "
            "the selector with it, or drop the result"
        )
    _check_fraction(name, "novelty", observation.novelty)
    _check_fraction(name, "confidence", observation.confidence)
    for label, probability in observation.probabilities.items():
        _check_fraction(name, f"probability of {label!r}", probability)
    if observation.is_refused:
        return
    unknown = sorted({observation.label, *observation.probabilities} - {*vocabulary})
    if unknown:
        raise SelectionError(
            f"{unknown} of {name!r} is not in the vocabulary "
            f"({', '.join(vocabulary)}): correct the label, or make the selector with "
            f"vocabulary=[*DYNAMICS, {unknown[0]!r}]"
        )


def _check_candidate(candidate: Candidate) -> None:
    if not all(math.isfinite(value) for value in candidate.coordinates):
        raise SelectionError(
            f"coordinates of {candidate.name!r} must be finite, got "
            f"{candidate.coordinates}"
        )
    if not 0 <= candidate.exposure < math.inf:
        raise SelectionError(
            f"exposure of {candidate.name!r} must be seconds >= 0, got "
            f"{candidate.exposure}"
        )


def _check_axes(axes: Sequence[Axis], coordinates: NDArray[np.float64]) -> None:
    names = [axis.name for axis in axes]
    if len(set(names)) != len(names):
        raise SelectionError(f"axes need names of their own, got {names}")
    for column, axis in enumerate(axes):
        lowest = coordinates[:, column].min()
        if axis.is_log and not lowest > 0:
            raise SelectionError(
                f"axis {axis.name!r} is logarithmic and needs values > 0, got {lowest}"
            )


def _check_fraction(name: str, what: str, value: float) -> None:
    # A comparison with not-a-number is never true, so this refuses it, too.
    if not 0 <= value <= 1 + 1e-6:
        raise SelectionError(f"{what} of {name!r} must be within 0 to 1, got {value}")
