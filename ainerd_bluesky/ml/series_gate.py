"""A gate for detector series: which of them are good enough to analyse.

`ainerd_bluesky.ml.gate_figures.measure_gate(data: SeriesSet, *, n_repeats=5,
random_state=0) -> dict` measures it by grouped cross-validation;
`ainerd_bluesky.ml.series_data.read_series_set(path)` reads the data.

The positive class of every figure is `anomaly`: recall is the share of anomalies that
are caught, false discovery the share of good series among those caught. That is how
the published baseline counts (EllipticEnvelope on 212 series, 164 of them anomalies:
161 caught with 6 good ones, hence recall 98.2 %, false discovery 3.6 %; its AUC of
0.93 is that of its yes-or-no answers).
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_curve
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from ainerd_bluesky.errors import ModelError
from ainerd_bluesky.ml.series_faults import find_faults, has_fault
from ainerd_bluesky.ml.series_features import FEATURES

__all__ = ["SHIPPED_GATE", "SeriesGate", "load_gate", "save_gate"]

SHIPPED_GATE = Path(__file__).parent / "gate" / "series-gate.json"
"""The gate that comes with this distribution."""

_FORMAT_VERSION = 1
_CURE = "train one with `ainerd model train-gate --data FILE --output FILE`"
_ARRAYS = ("coef_", "intercept_", "mean_", "scale_", "low_", "high_")
_SMALLEST = 1e-12
_N_DIVISIONS = 5


class SeriesGate(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # no types
    """Tell good series from those that should not be analysed.

    A logistic regression on standardised features, calibrated on what it says about
    series that it was not fitted to. Of the two classes the later one in sorted order
    is the good one (False, True or anomaly, normal). A series with one of the faults of
    `find_faults` is never good, whatever was learnt.

    Parameters
    ----------
    C : float
        Inverse strength of the penalty.
    recall : float
        Share of anomalies that `passes` is to catch.
    false_discovery : float
        Largest share of good series among those that `passes` holds back.
    n_splits : int
        Folds for calibration and threshold.
    random_state : int
        Rules the folds.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        Bad and good.
    coef_ : ndarray of shape (n_features,)
        Weight of each standardised feature towards good.
    intercept_ : float
        Log-odds of being good at the mean of all features.
    mean_, scale_ : ndarray of shape (n_features,)
        Standardise the features.
    low_, high_ : ndarray of shape (n_features,)
        Where 95 % of the good series lie.
    threshold_ : float
        Probability of being good from which on a series passes.
    """

    def __init__(
        self,
        *,
        C: float = 0.3,  # noqa: N803 - scikit-learn's name
        recall: float = 0.985,
        false_discovery: float = 0.03,
        n_splits: int = 5,
        random_state: int = 0,
    ) -> None:
        self.C = C
        self.recall = recall
        self.false_discovery = false_discovery
        self.n_splits = n_splits
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - scikit-learn's own type
        """Say that there are two classes."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Learn from labelled series.

        Parameters
        ----------
        X : array_like of shape (n_series, n_features)
            Features.
        y : array_like of shape (n_series,)
            Two classes, the good one last in sorted order.
        groups : array_like of shape (n_series,), optional
            Series that belong together and are never split.

        Returns
        -------
        SeriesGate
            Itself.

        Raises
        ------
        ValueError
            If there are not two classes.
        """
        features, targets = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(targets)
        self.classes_, is_good = np.unique(targets, return_inverse=True)
        if len(self.classes_) != 2:
            # The second sentence is the one that scikit-learn's checks ask for.
            raise ValueError(
                f"a gate knows two classes, got {len(self.classes_)} class(es) in y. "
                "Only binary classification is supported."
            )
        kept = np.arange(len(features)) if groups is None else np.asarray(groups)
        self._fit_line(features, is_good)
        self._calibrate(features, is_good, kept)
        good = features[is_good == 1]
        self.low_, self.high_ = np.percentile(good, [2.5, 97.5], axis=0)
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Compute the log-odds of being good, -inf with a fault, shape (n_series,)."""
        odds = self._odds(X)
        # The columns of features other than those of `series_features` are unknown.
        if self.n_features_in_ != len(FEATURES):
            return odds
        return np.where(has_fault(X), -np.inf, odds)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Compute the probabilities of bad and good, shape (n_series, 2)."""
        good = _probability(self.decision_function(X))
        return np.stack([1.0 - good, good], axis=1)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Name the likelier class of each series, shape (n_series,)."""
        is_good = (self.decision_function(X) > 0).astype(int)
        return np.asarray(self.classes_[is_good])

    def passes(self, X: ArrayLike) -> NDArray[np.bool_]:
        """Decide with the threshold that catches the share `recall` of anomalies.

        Parameters
        ----------
        X : array_like of shape (n_series, n_features)
            Features.

        Returns
        -------
        ndarray of bool, shape (n_series,)
            Whether each series may be analysed.
        """
        return np.asarray(self.predict_proba(X)[:, 1] >= self.threshold_)

    def reasons(self, X: ArrayLike, n: int = 3) -> list[list[str]]:
        """Say what speaks against each series.

        Parameters
        ----------
        X : array_like of shape (n_series, n_features)
            What `series_features` gives.
        n : int
            Most reasons for one series.

        Returns
        -------
        list of list of str
            For each series its faults, then the features that weigh most against it,
            those outside the range of 95 % of the good series first; none where none
            weighs against it.

        Raises
        ------
        ModelError
            If the gate was fitted to other features than those of `series_features`.
        """
        against = -self._contributions(X)
        if self.n_features_in_ != len(FEATURES):
            raise ModelError(
                f"the gate was fitted to {self.n_features_in_} features, there are "
                f"words for the {len(FEATURES)} of series_features"
            )
        values = np.asarray(X, np.float64)
        is_outside = (values < self.low_) | (values > self.high_)
        order = np.lexsort((-against, ~is_outside))
        return [
            [*faults, *(self._words(j, row[j]) for j in ranked if weight[j] > 0)][:n]
            for faults, row, weight, ranked in zip(
                find_faults(values), values, against, order, strict=True
            )
        ]

    def _odds(self, X: ArrayLike) -> NDArray[np.float64]:
        return np.asarray(self._contributions(X).sum(axis=1) + self.intercept_)

    def _contributions(self, X: ArrayLike) -> NDArray[np.float64]:
        check_is_fitted(self)
        features = validate_data(self, X, dtype=np.float64, reset=False)
        return np.asarray((features - self.mean_) / self.scale_ * self.coef_)

    def _fit_line(self, X: NDArray[np.float64], is_good: NDArray[np.int64]) -> None:
        scaler = StandardScaler().fit(X)
        self.mean_, self.scale_ = scaler.mean_, scaler.scale_
        line = LogisticRegression(C=self.C, max_iter=1000)
        line.fit(scaler.transform(X), is_good)
        self.coef_, self.intercept_ = line.coef_[0], float(line.intercept_[0])

    def _calibrate(
        self,
        X: NDArray[np.float64],
        is_good: NDArray[np.int64],
        groups: NDArray[Any],
    ) -> None:
        """Make probabilities mean what they say about series never seen."""
        self.threshold_ = 0.5
        odds = self._unseen_odds(X, is_good, groups)
        if odds is None:
            return
        slope = LogisticRegression(C=1.0).fit(odds[:, None], is_good)
        # A slope that is not positive would turn the answer round: nothing was learnt.
        if slope.coef_[0, 0] <= 0:
            return
        self.coef_ = self.coef_ * slope.coef_[0, 0]
        self.intercept_ = float(slope.decision_function([[self.intercept_]])[0])
        good = slope.decision_function(odds[:, None])
        limit = _operating_point(good, is_good, self.recall, self.false_discovery)
        self.threshold_ = float(_probability(np.array(limit)))

    def _unseen_odds(
        self,
        X: NDArray[np.float64],
        is_good: NDArray[np.int64],
        groups: NDArray[Any],
    ) -> NDArray[np.float64] | None:
        """Compute what fits to other series say; None for too few series to split."""
        n_groups = min(len(np.unique(groups[is_good == good])) for good in (0, 1))
        n_splits = min(self.n_splits, n_groups)
        if n_splits < 2:
            return None
        odds = np.zeros(len(X))
        # Several divisions, so that the threshold is not the chance of one of them.
        for repeat in range(_N_DIVISIONS):
            seed = _N_DIVISIONS * self.random_state + repeat
            folds = StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
            for train, test in folds.split(X, is_good, groups):
                if len(np.unique(is_good[train])) < 2:
                    return None
                fold = clone(self)
                fold.n_features_in_ = self.n_features_in_
                fold._fit_line(X[train], is_good[train])  # noqa: SLF001 - own class
                odds[test] += fold._odds(X[test]) / _N_DIVISIONS  # noqa: SLF001 - own
        return odds

    def _words(self, index: int, value: float) -> str:
        feature = FEATURES[index]
        low, high = self.low_[index], self.high_[index]
        numbers = np.array([value, low, high], np.float64)
        value, low, high = 10.0**numbers if feature.is_log else numbers
        return f"{feature.words} is {value:.3g}, of good series {low:.3g} to {high:.3g}"


def save_gate(gate: SeriesGate, path: str | Path, figures: dict[str, Any]) -> Path:
    """Write a fitted gate with its card.

    Parameters
    ----------
    gate : SeriesGate
        Fitted to what `series_features` gives.
    path : str or Path
        A JSON file; its folder is made if it is missing.
    figures : dict
        How good it is, from `measure_gate`.

    Returns
    -------
    Path
        The file.
    """
    path = Path(path)
    state = {
        **{name: np.asarray(getattr(gate, name)).tolist() for name in _ARRAYS},
        "classes": gate.classes_.tolist(),
        "threshold": gate.threshold_,
        "features": [feature.name for feature in FEATURES],
    }
    card = {
        "format_version": _FORMAT_VERSION,
        "name": "series-gate",
        "scope": (
            "Series of NSLS-II CSX detector regions. A region of other size, another "
            "detector or another technique is outside of what it has seen."
        ),
        "parameters": gate.get_params(),
        "figures": figures,
        "sha256": _digest(state),
        "state": state,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(card, indent=1) + "\n")
    return path


def load_gate(path: str | Path = SHIPPED_GATE) -> SeriesGate:
    """Load a fitted gate.

    Parameters
    ----------
    path : str or Path
        A file that `save_gate` wrote; the shipped one by default.

    Returns
    -------
    SeriesGate
        Ready to judge.

    Raises
    ------
    ModelError
        If the file is missing or damaged, or was made for other features.
    """
    try:
        card = json.loads(Path(path).read_text())
        version, state = card["format_version"], card["state"]
        found, expected = _digest(state), str(card["sha256"])
        gate = SeriesGate(**card["parameters"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is no gate: {error!r}; {_CURE}") from error
    if version != _FORMAT_VERSION or found != expected:
        raise ModelError(
            f"{path} has format version {version} and sha256 {found[:12]}..., expected "
            f"are {_FORMAT_VERSION} and {expected[:12]}...; {_CURE}"
        )
    if state["features"] != [feature.name for feature in FEATURES]:
        raise ModelError(f"{path} was made for other features; {_CURE}")
    for name in _ARRAYS:
        setattr(gate, name, np.array(state[name], np.float64))
    gate.classes_ = np.array(state["classes"])
    gate.threshold_ = float(state["threshold"])
    gate.n_features_in_ = len(FEATURES)
    return gate


def _probability(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * odds)))


def _operating_point(
    good: NDArray[np.float64],
    is_good: NDArray[np.int64],
    recall: float,
    false_discovery: float,
) -> float:
    """Find the log-odds half way between the limits of both aims."""
    # What only just catches enough of the known series misses some of others.
    false_alarms, caught, limits = roc_curve(is_good == 0, -good)
    n_false = false_alarms * (is_good == 1).sum()
    n_caught = caught * (is_good == 0).sum()
    wrong = n_false / np.maximum(n_false + n_caught, _SMALLEST)
    enough = limits[caught >= recall].max()
    pure = limits[(wrong <= false_discovery) & np.isfinite(limits)]
    return float(-0.5 * (enough + (pure.min() if len(pure) else enough)))


def _digest(state: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
