"""Dynamics against macroscopic properties: what goes with what, and how surely."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.ml.association_report import (
    LEVEL,
    Association,
    AssociationReport,
    Prediction,
)
from ainerd_bluesky.ml.dependence import (
    explained_out_of_fold,
    kendall,
    level_codes,
    mutual_information,
    neighbour_predictions,
    ridge_predictions,
    spearman,
)
from ainerd_bluesky.ml.exchange import (
    Exchange,
    draw_exchanges,
    is_shared,
    joint_p_values,
    lowest_p_value,
    mostly_alone,
    permutation_p_value,
    suitable_exchange,
)

__all__ = ["Dynamics", "associate"]

Floats = NDArray[np.float64]
_FEWEST_ROWS = 8
_MOST_ROWS = 4000
"""Time and memory go with rows times exchanges; more rows hardly tell more."""
_MOST_FOLDS = 10
_FEWEST_FOLDS = 3
_STRONG_TREND = 0.7
_RANK_CORRELATIONS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "spearman": spearman,
    "kendall": kendall,
}
_PREDICTORS: dict[str, Callable[[Floats, Floats, NDArray[Any]], Floats]] = {
    "ridge": ridge_predictions,
    "neighbours": neighbour_predictions,
}


@dataclass(frozen=True, eq=False)
class Dynamics:
    """What is known of the dynamics of runs, one row each.

    Rows may also be q-bins: then the groups are the runs, or the samples.

    Parameters
    ----------
    labels : ndarray of str, shape (n_rows,)
        Words; empty where there is none.
    fingerprints : ndarray of shape (n_rows, n_components)
        Points in the latent space of one model; nan where unknown.
    physics : mapping of str to ndarray of shape (n_rows,)
        Quantities by name; nan where unknown.
    groups : ndarray of shape (n_rows,)
        Rows with equal entries belong together, and count once where a property is the
        same for all of them.
    times : ndarray of shape (n_rows,), optional
        Start of each run in seconds; nan where unknown.
    """

    labels: NDArray[np.str_]
    fingerprints: Floats
    physics: Mapping[str, Floats]
    groups: NDArray[Any]
    times: Floats | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, chosen: NDArray[np.intp]) -> "Dynamics":
        """Return the rows with these indices."""
        return Dynamics(
            labels=self.labels[chosen],
            fingerprints=self.fingerprints[chosen],
            physics={name: values[chosen] for name, values in self.physics.items()},
            groups=self.groups[chosen],
            times=None if self.times is None else self.times[chosen],
        )


@dataclass(frozen=True, eq=False)
class _Case:
    """One property beside the dynamics of the rows that have it."""

    name: str
    rows: NDArray[np.intp]
    dynamics: Dynamics
    exchange: Exchange
    sets: Floats
    """The values as they are, then exchanged: (1 + n_draws, n_rows)."""
    folds: NDArray[np.intp]
    n_known: int
    """Rows that have the property, of which some may have been drawn."""

    @property
    def values(self) -> Floats:
        """The property."""
        return np.asarray(self.sets[0])

    def is_enough(self, chosen: NDArray[np.bool_]) -> bool:
        """Return whether these rows are worth an answer."""
        return _varies(self.values[chosen])


@dataclass(frozen=True, eq=False)
class _Measured:
    """A measure of the values as they are, then of exchanged ones."""

    dynamics: str
    measure: str
    statistics: Floats
    chosen: NDArray[np.bool_]

    @property
    def sizes(self) -> Floats:
        """Larger is more, whatever the direction."""
        is_signed = self.measure in _RANK_CORRELATIONS
        return np.abs(self.statistics) if is_signed else self.statistics


def associate(
    dynamics: Dynamics,
    properties: Mapping[str, Floats],
    *,
    exchange: Exchange | None = None,
    n_permutations: int = 999,
    random_state: int = 0,
) -> AssociationReport:
    """Ask which properties go with the dynamics.

    Each property is compared with each quantity of the physics (rank correlations),
    with the label (mutual information) and with the fingerprint (prediction of the
    property in rows held out). Every p-value comes from exchanging the values of the
    property between rows; rows that are no independent observations are exchanged
    together.

    Parameters
    ----------
    dynamics : Dynamics
        Of the rows.
    properties : mapping of str to ndarray of shape (n_rows,)
        Values by name; nan where unknown.
    exchange : Exchange, optional
        What may change places; by default what suits each property, see
        `suitable_exchange`.
    n_permutations : int
        Exchanges drawn for each answer; no p-value is below 1 / (n_permutations + 1).
    random_state : int
        The same number gives the same report.

    Returns
    -------
    AssociationReport
        With p-values adjusted for the questions asked of one property (the largest
        statistic of each exchange [1]_), then for the number of properties
        (Benjamini-Hochberg).

    Notes
    -----
    A property that is known for fewer than 8 rows, is the same in all of them, or
    differs within groups that are to be exchanged as a whole, is a `ConfigError`.

    References
    ----------
    .. [1] P. H. Westfall and S. S. Young, Resampling-Based Multiple Testing (1993).
    """
    rng = np.random.default_rng(random_state)
    answers: list[Association] = []
    predictions: list[Prediction] = []
    remarks: list[str] = []
    for name, values in properties.items():
        case = _case(name, values, dynamics, exchange, n_permutations, rng)
        predicted, prediction = _predictions(case)
        measured = [*_rank_correlations(case), *_told_by_labels(case), *predicted]
        answers += _answers(case, measured)
        predictions += prediction
        remarks += _remarks(case, len(properties))
    return AssociationReport(
        associations=_adjusted(answers),
        predictions=tuple(predictions),
        remarks=tuple(remarks),
        n_permutations=n_permutations,
        random_state=random_state,
    )


def _case(
    name: str,
    values: Floats,
    dynamics: Dynamics,
    exchange: Exchange | None,
    n_permutations: int,
    rng: np.random.Generator,
) -> _Case:
    """Draw what chance could have given to the rows that have the property."""
    known = np.flatnonzero(np.isfinite(values))
    _require_variety(name, values[known])
    rows = _some(known, rng)
    values, compared = values[rows], dynamics.rows(rows)
    groups, times = compared.groups, compared.times
    if exchange is Exchange.GROUPS and not is_shared(values, groups):
        raise ConfigError(
            f"{name} differs within groups: exchange it within them, or along time"
        )
    chosen = exchange or suitable_exchange(values, groups, times)
    drawn = draw_exchanges(chosen, groups, times, n_draws=n_permutations, rng=rng)
    return _Case(
        name=name,
        rows=rows,
        dynamics=compared,
        exchange=chosen,
        sets=np.vstack([values, values[drawn]]),
        folds=_folds(compared, chosen, rng),
        n_known=len(known),
    )


def _some(rows: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw rows, where they are too many to exchange."""
    if len(rows) <= _MOST_ROWS:
        return rows
    return np.sort(rng.choice(rows, _MOST_ROWS, replace=False))


def _require_variety(name: str, values: Floats) -> None:
    if len(values) < _FEWEST_ROWS:
        raise ConfigError(
            f"{name} is known for {len(values)} runs; it takes {_FEWEST_ROWS} to "
            "say anything"
        )
    if (values == values[0]).all():
        raise ConfigError(
            f"{name} is {values[0]:g} in all {len(values)} runs: nothing can go with it"
        )


def _folds(
    dynamics: Dynamics, exchange: Exchange, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return up to ten folds: whole groups, or stretches of time."""
    if exchange is Exchange.TIME and dynamics.times is not None:
        ranks = np.argsort(np.argsort(dynamics.times, kind="stable"))
        return ranks * _MOST_FOLDS // len(ranks)
    codes = np.unique(dynamics.groups, return_inverse=True)[1].reshape(-1)
    dealt = rng.permutation(codes.max() + 1) % _MOST_FOLDS
    return np.asarray(dealt[codes])


def _rank_correlations(case: _Case) -> Iterator[_Measured]:
    for quantity, x in case.dynamics.physics.items():
        chosen = np.isfinite(x)
        if not (_varies(x[chosen]) and case.is_enough(chosen)):
            continue
        for measure, correlate in _RANK_CORRELATIONS.items():
            found = correlate(x[chosen], case.sets[:, chosen])
            yield _Measured(quantity, measure, found, chosen)


def _told_by_labels(case: _Case) -> Iterator[_Measured]:
    chosen = case.dynamics.labels != ""
    words = case.dynamics.labels[chosen]
    if len(np.unique(words)) > 1 and case.is_enough(chosen):
        told = mutual_information(words, level_codes(case.sets[:, chosen]))
        yield _Measured("label", "mutual_information", told, chosen)


def _predictions(case: _Case) -> tuple[list[_Measured], list[Prediction]]:
    """Predict from the fingerprint; the better prediction is kept to be looked at."""
    chosen = np.asarray(np.isfinite(case.dynamics.fingerprints).all(axis=1))
    folds = case.folds[chosen]
    if not case.is_enough(chosen) or len(np.unique(folds)) < _FEWEST_FOLDS:
        return [], []
    Z, sets = case.dynamics.fingerprints[chosen], case.sets[:, chosen]
    measured, predictions = [], []
    for measure, predict in _PREDICTORS.items():
        predicted = predict(Z, sets, folds)
        explained = explained_out_of_fold(sets, predicted, folds)
        measured.append(_Measured("fingerprint", measure, explained, chosen))
        predictions.append(
            Prediction(case.name, measure, case.rows[chosen], sets[0], predicted[0])
        )
    better = int(np.argmax([one.statistics[0] for one in measured]))
    return measured, [predictions[better]]


def _answers(case: _Case, measured: list[_Measured]) -> Iterator[Association]:
    """Yield answers adjusted for how many questions were asked of the property."""
    if not measured:
        return
    adjusted = joint_p_values(np.stack([one.sizes for one in measured]))
    for one, p_adjusted in zip(measured, adjusted, strict=True):
        yield Association(
            name=case.name,
            dynamics=one.dynamics,
            measure=one.measure,
            value=float(one.statistics[0]),
            chance=float(one.sizes[1:].mean()),
            p_value=permutation_p_value(one.sizes),
            p_adjusted=float(p_adjusted),
            n_rows=int(np.count_nonzero(one.chosen)),
            n_groups=len(np.unique(case.dynamics.groups[one.chosen])),
            exchange=case.exchange.value,
        )


def _adjusted(answers: list[Association]) -> tuple[Association, ...]:
    """Adjust, for each question, for how many properties it was asked about."""
    by_question: dict[tuple[str, str], list[int]] = {}
    for index, answer in enumerate(answers):
        question = (answer.dynamics, answer.measure)
        by_question.setdefault(question, []).append(index)
    adjusted = np.empty(len(answers))
    for same in by_question.values():
        adjusted[same] = false_discovery_control(
            np.array([answers[index].p_adjusted for index in same])
        )
    return tuple(
        replace(answer, p_adjusted=float(p_value))
        for answer, p_value in zip(answers, adjusted, strict=True)
    )


def _remarks(case: _Case, n_properties: int) -> Iterator[str]:
    """Yield what a reader should know before believing a p-value."""
    if case.n_known > len(case.rows):
        yield (
            f"{case.name}: {len(case.rows)} of {case.n_known} runs, drawn by chance, "
            "are compared"
        )
    yield from _on_smallest_p_value(case, n_properties)
    if case.dynamics.times is not None:
        yield from _on_time(case, case.dynamics.times)


def _on_smallest_p_value(case: _Case, n_properties: int) -> Iterator[str]:
    of_rows = lowest_p_value(case.exchange, case.values, case.dynamics.groups)
    of_draws = 1 / len(case.sets)
    lowest = max(of_rows, of_draws) * n_properties
    if lowest >= LEVEL:
        few = "independent observations" if of_rows >= of_draws else "permutations"
        yield (
            f"{case.name}: so few {few} give no adjusted p-value below "
            f"{min(lowest, 1.0):.2g}, whatever they show"
        )


def _on_time(case: _Case, times: Floats) -> Iterator[str]:
    known = np.isfinite(times)
    is_alone = case.exchange is Exchange.GROUPS and mostly_alone(case.dynamics.groups)
    if is_alone and not known.all():
        yield (
            f"{case.name}: {np.count_nonzero(~known)} of {len(known)} runs do not tell "
            "when they were started, so all are taken for independent"
        )
    if not (_varies(times[known]) and case.is_enough(known)):
        return
    trend = float(spearman(times[known], case.values[None, known])[0])
    if abs(trend) > _STRONG_TREND:
        yield (
            f"{case.name} follows time (rank correlation {trend:.2f}): whatever else "
            "changed in the course of the measurement goes with it as well"
        )


def _varies(values: Floats) -> bool:
    return len(values) >= _FEWEST_ROWS and bool((values != values[0]).any())
