"""What a selector refuses, with the value and the cure in the message."""

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection.protocols import (
    LARGEST,
    Candidate,
    Observation,
    as_number,
)
from ainerd_bluesky.selection.situation import Strategy, require_strategy
from ainerd_bluesky.selection.space import Axis, is_within
from ainerd_bluesky.vocabulary import Label

__all__ = [
    "as_plain",
    "check_candidates",
    "check_observation",
    "check_strategy",
    "check_vocabulary",
]

_SHOWN = 8


def as_plain(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Return candidates of plain strings and floats, as a state holds them.

    Parameters
    ----------
    candidates : iterable of Candidate
        Perhaps with numbers of numpy, or names that are none.

    Returns
    -------
    tuple of Candidate
        The same.

    Raises
    ------
    SelectionError
        If a coordinate or an exposure is no number.
    """
    plain = []
    for candidate in candidates:
        try:
            plain.append(Candidate.from_json(candidate.as_json()))
        except (TypeError, ValueError, OverflowError) as error:
            raise SelectionError(f"{candidate} cannot be used: {error}") from error
    return tuple(plain)


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
        more = f" and {len(repeated) - _SHOWN} more" if len(repeated) > _SHOWN else ""
        raise SelectionError(
            "candidates need names of their own, got "
            f"{repeated[:_SHOWN] or 'no candidates'}{more}"
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
    """Return a vocabulary of words that differ and name dynamics.

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
        If there is no word, one repeats, or one says that a run was refused.
    """
    words = tuple(str(word) for word in vocabulary)
    if not words or len(set(words)) != len(words):
        raise SelectionError(f"a vocabulary needs words that differ, got {words}")
    if Label.INVALID in words:
        raise SelectionError(
            f"{str(Label.INVALID)!r} is what the quality gate refused, no word for "
            f"dynamics: leave it out of the vocabulary {words}"
        )
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
        If it is none, or wants a label that the vocabulary lacks.
    """
    require_strategy(strategy)
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
            f"vocabulary=[*DYNAMICS, {unknown[0]!r}] when the campaign begins"
        )


def _check_candidate(candidate: Candidate) -> None:
    if not all(abs(value) <= LARGEST for value in candidate.coordinates):
        raise SelectionError(
            f"coordinates of {candidate.name!r} must be finite, to {LARGEST:g} either "
            f"way, got {candidate.coordinates}"
        )
    if not 0 <= candidate.exposure <= LARGEST:
        raise SelectionError(
            f"exposure of {candidate.name!r} must be seconds >= 0, to {LARGEST:g}, got "
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


def _check_fraction(name: str, what: str, value: object) -> None:
    # A comparison with not-a-number is never true, so this refuses it, too.
    if not 0 <= as_number(value) <= 1 + 1e-6:
        raise SelectionError(f"{what} of {name!r} must be within 0 to 1, got {value!r}")
