"""Clusters in the latent: their number from the data, their ids for good."""

import warnings
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment, minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["CRITERION", "ClusterMatch", "LatentClusters", "match_clusters"]

CRITERION = "lowest BIC of Gaussian mixtures, one variance per cluster and component"
"""How the number of clusters is chosen where none is given."""

_LEAST_VARIANCE = 1e-3
"""Of a cluster along a component, as a share of the variance of everything."""
_N_STARTS = 3
_FEWEST_MEMBERS = 3
"""Of a cluster, where the number of clusters comes from the data."""
_LEAST_SHARED = 0.5
"""Part of an earlier cluster that a new one must hold to be the same."""
_N_REFITS = 10
_REFIT_SHARE = 0.7
"""Part of the samples that a refit sees; the others tell whether it agrees."""
_HOTTEST = 1e6
_STATE = ("weights", "means", "variances", "ids")


@dataclass(frozen=True)
class ClusterMatch:
    """What became of earlier clusters when clusters were found again.

    Parameters
    ----------
    ids : tuple of int
        Id of each new cluster, in the order in which they were found.
    kept : tuple of int
        Ids that were there before and still are.
    new : tuple of int
        Ids that were never used before.
    gone : tuple of int
        Ids that no cluster has any more.
    moved_share : float
        Part of the samples known before that have another id now, 0 to 1.
    """

    ids: tuple[int, ...]
    kept: tuple[int, ...]
    new: tuple[int, ...]
    gone: tuple[int, ...]
    moved_share: float


class LatentClusters(ClusterMixin, BaseEstimator):  # type: ignore[misc] # untyped
    """Find clusters of fingerprints without any label.

    A mixture of Gaussians in the latent itself, in no projection of it. The distances
    of the latent are kept: whitening it first would raise directions of noise to the
    height of those that tell dynamics apart.

    A product of as many densities as there are components is far too sure of itself.
    The logarithms are therefore divided by the temperature at which they tell best what
    refits to 70 % of the samples make of the others: a probability is the share of
    refits that agree. The most probable cluster is the same at any temperature.

    Parameters
    ----------
    n_clusters : int or None
        Number of clusters; None takes the one of the lowest Bayesian information
        criterion, of 1 to `max_clusters`, that leaves each cluster three samples.
    max_clusters : int
        Most clusters to choose from.
    random_state : int, RandomState instance or None
        Rules where the search starts.

    Attributes
    ----------
    ids_ : ndarray of int64, shape (n_clusters,)
        Id of each cluster; ids of earlier clusters stay when `fit` is told of them.
    labels_ : ndarray of int64, shape (n_samples,)
        Id of the cluster of each sample.
    weights_ : ndarray of shape (n_clusters,)
        Share of each cluster.
    means_ : ndarray of shape (n_clusters, n_features)
        Centre of each cluster.
    variances_ : ndarray of shape (n_clusters, n_features)
        Of each cluster, along each component.
    temperature_ : float
        1 or more; 1 where refits agree, or are too few samples to be made.
    bic_ : dict of int to float
        Criterion by number of clusters, of those that could be chosen.
    match_ : ClusterMatch
        What became of earlier clusters.

    Examples
    --------
    >>> X = np.linspace(0, 1, 30)[:, None] + np.repeat([[0], [5]], [20, 10], axis=0)
    >>> LatentClusters(n_clusters=2).fit(X).predict([[0.1], [6.0]]).tolist()
    [0, 1]
    """

    def __init__(
        self,
        n_clusters: int | None = None,
        *,
        max_clusters: int = 15,
        random_state: Any = 0,  # noqa: ANN401 - what scikit-learn takes
    ) -> None:
        self.n_clusters = n_clusters
        self.max_clusters = max_clusters
        self.random_state = random_state

    def fit(
        self,
        X: ArrayLike,
        y: object = None,  # noqa: ARG002 - scikit-learn passes it
        *,
        known: ArrayLike | None = None,
        next_id: int = 0,
    ) -> Self:
        """Find clusters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Fingerprints.
        y : None
            Not used.
        known : array-like of int, shape (n_samples,), optional
            Earlier id of each sample, -1 for a sample that had none: clusters that are
            the same keep their id. Unset: ids are given by size, the largest first.
        next_id : int
            First id that was never used.

        Returns
        -------
        LatentClusters
            This one.

        Raises
        ------
        ValueError
            If there are fewer samples than clusters, or `known` is of another length.
        """
        points = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        n_samples = len(points)
        if self.n_clusters is not None and not 1 <= self.n_clusters <= n_samples:
            raise ValueError(
                f"n_clusters must be 1 to the number of samples, "
                f"n_samples={n_samples}, got {self.n_clusters}"
            )
        ids = np.full(n_samples, -1) if known is None else np.asarray(known)
        if ids.shape != (n_samples,):
            raise ValueError(f"known has shape {ids.shape}, X {n_samples} samples")

        # A common scale alone: it makes the least variance one of the data.
        scale = np.sqrt(points.var(axis=0).mean()) or 1.0
        best = self._best(points / scale)
        order = np.argsort(-best.weights_, kind="stable")
        self.weights_ = best.weights_[order]
        self.means_ = best.means_[order] * scale
        self.variances_ = best.covariances_[order] * scale**2
        logs = self._log_densities(points)
        found = logs.argmax(axis=1)
        self.temperature_ = self._temperature(points / scale, logs)
        self.match_ = match_clusters(ids, found, len(order), next_id=next_id)
        self.ids_ = np.array(self.match_.ids, np.int64)
        self.labels_ = self.ids_[found]
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Return the id of the most probable cluster of each sample."""
        found = self._checked_logs(X).argmax(axis=1)
        return np.asarray(self.ids_[found])

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Compute how probable each cluster is: which share of refits would agree.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Fingerprints.

        Returns
        -------
        ndarray of float64, shape (n_samples, n_clusters)
            In the order of `ids_`; each row adds up to one.
        """
        logs = self._checked_logs(X)
        return np.asarray(softmax(logs / self.temperature_, axis=1))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return weights, means, variances and ids: rows are clusters."""
        check_is_fitted(self)
        return {name: getattr(self, f"{name}_") for name in _STATE}

    def _best(self, X: NDArray[np.float64]) -> GaussianMixture:
        """Return the mixture of the given number, or of the lowest criterion."""
        largest = max(1, min(self.max_clusters, len(X) // _FEWEST_MEMBERS))
        numbers = [self.n_clusters] if self.n_clusters else range(1, largest + 1)
        fitted = [self._mixture(number).fit(X) for number in numbers]
        # The first is always one: a single cluster, or the number that was given.
        mixtures = fitted[:1] + [one for one in fitted[1:] if _has_members(one, X)]
        self.bic_ = {
            mixture.n_components: float(mixture.bic(X)) for mixture in mixtures
        }
        return min(mixtures, key=lambda mixture: self.bic_[mixture.n_components])

    def _mixture(self, n_clusters: int) -> "_QuietMixture":
        return _QuietMixture(
            n_clusters,
            covariance_type="diag",
            reg_covar=_LEAST_VARIANCE,
            n_init=_N_STARTS,
            random_state=self.random_state,
        )

    def _temperature(self, X: NDArray[np.float64], logs: NDArray[np.float64]) -> float:
        """Return the temperature at which `logs` tell what refits say best."""
        n_samples, n_clusters = logs.shape
        n_seen = int(_REFIT_SHARE * n_samples)
        if n_clusters == 1 or n_seen < n_clusters:
            return 1.0
        chance = check_random_state(self.random_state)
        held_out, said = [], []
        for _ in range(_N_REFITS):
            order = chance.permutation(n_samples)
            again = self._mixture(n_clusters).fit(X[order[:n_seen]]).predict(X)
            held_out.append(order[n_seen:])
            said.append(_in_terms_of(logs.argmax(axis=1), again)[order[n_seen:]])
        return _best_temperature(logs[np.concatenate(held_out)], np.concatenate(said))

    def _checked_logs(self, X: ArrayLike) -> NDArray[np.float64]:
        check_is_fitted(self)
        points = validate_data(self, X, dtype=np.float64, reset=False)
        return self._log_densities(points)

    def _log_densities(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return those of each cluster, times its weight, up to a constant."""
        return np.stack(
            [
                np.log(max(weight, np.finfo(float).tiny))
                - 0.5 * (((X - mean) ** 2 / variance) + np.log(variance)).sum(axis=1)
                for weight, mean, variance in zip(
                    self.weights_, self.means_, self.variances_, strict=True
                )
            ],
            axis=1,
        )


class _QuietMixture(GaussianMixture):  # type: ignore[misc] # scikit-learn is untyped
    """A mixture that does not warn of samples that are alike."""

    def fit(self, X: NDArray[np.float64], y: object = None) -> Self:
        """Fit the mixture; more clusters than distinct samples are no matter."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            super().fit(X, y)
        return self


def _has_members(mixture: GaussianMixture, X: NDArray[np.float64]) -> bool:
    """Return whether no cluster is an odd sample or two: those lower the criterion."""
    sizes = np.bincount(mixture.predict(X), minlength=mixture.n_components)
    return bool(sizes.min() >= _FEWEST_MEMBERS)


def _in_terms_of(
    found: NDArray[np.int64], again: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the second grouping in the numbers of the first, by what they share."""
    n_clusters = max(found.max(), again.max()) + 1
    shared = np.zeros((n_clusters, n_clusters), np.int64)
    np.add.at(shared, (again, found), 1)
    return np.asarray(linear_sum_assignment(-shared)[1][again])


def _best_temperature(logs: NDArray[np.float64], said: NDArray[np.int64]) -> float:
    """Return the temperature, 1 or more, at which what was said is most likely."""
    rows = np.arange(len(said))

    def surprise(log_temperature: float) -> float:
        tempered = log_softmax(logs / np.exp(log_temperature), axis=1)
        return float(-tempered[rows, said].mean())

    best = minimize_scalar(surprise, bounds=(0.0, np.log(_HOTTEST)), method="bounded")
    coolest = surprise(0.0) <= best.fun
    return 1.0 if coolest else float(np.exp(best.x))


def match_clusters(
    old: ArrayLike, new: ArrayLike, n_new: int, *, next_id: int = 0
) -> ClusterMatch:
    """Give new clusters the ids of the old ones that they are.

    Pairs are chosen so that as many samples as possible keep their id (the Hungarian
    method). A pair is one cluster if the new one holds at least half of the old one.

    Parameters
    ----------
    old : array-like of int, shape (n_samples,)
        Earlier id of each sample, -1 for none.
    new : array-like of int, shape (n_samples,)
        New cluster of each sample, counted from 0.
    n_new : int
        Number of new clusters; some may be empty.
    next_id : int
        First id that was never used; ids in `old` are used in any case.

    Returns
    -------
    ClusterMatch
        Ids of the new clusters and what became of the old ones.

    Examples
    --------
    >>> match_clusters([4, 4, 7, 7, -1], [1, 1, 0, 0, 2], 3).ids
    (7, 4, 8)
    """
    old, new = np.asarray(old), np.asarray(new)
    old_ids = np.unique(old[old >= 0])
    shared = np.array(
        [[np.sum((old == i) & (new == k)) for k in range(n_new)] for i in old_ids]
    ).reshape(len(old_ids), n_new)
    known = {
        int(column): int(old_ids[row])
        for row, column in zip(*linear_sum_assignment(-shared), strict=True)
        if _is_one(shared, row, column)
    }
    first = max([next_id, *(int(i) + 1 for i in old_ids)])
    fresh = iter(range(first, first + n_new))
    ids = tuple(known[k] if k in known else next(fresh) for k in range(n_new))
    was_known = old >= 0
    is_moved = np.array(ids, np.int64)[new] != old
    return ClusterMatch(
        ids=ids,
        kept=tuple(sorted(known.values())),
        new=tuple(sorted(set(ids) - set(known.values()))),
        gone=tuple(sorted(set(old_ids.tolist()) - set(known.values()))),
        moved_share=float(is_moved[was_known].mean()) if was_known.any() else 0.0,
    )


def _is_one(shared: NDArray[np.int64], row: int, column: int) -> bool:
    return bool(shared[row, column] >= _LEAST_SHARED * shared[row].sum())
