"""Tell whether incoming fingerprints have left what is known."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from scipy.stats import betabinom, binom

from ainerd_bluesky.errors import FingerprintError
from ainerd_bluesky.ml.neighbours import checked_fingerprints

__all__ = [
    "FEWEST_KNOWN",
    "DriftReport",
    "DriftTest",
    "drift_report",
    "novelty_tests",
    "outlier_test",
    "shift_test",
]

Floats = NDArray[np.float64]

_SHARE = 0.01
"""Share of the known that lies beyond the limit, by construction."""
_NOVEL = 1 - _SHARE / 2
"""A run is novel beyond it, whatever its q-bins have to do with each other."""
_N_NEIGHBOURS = 5
"""A run lies where its fifth neighbour is near: repeats of one scan are no crowd."""
FEWEST_KNOWN = 20
"""Known fingerprints without which nothing can be said."""
_MOST = 1000
"""Fingerprints compared pairwise, of each side; more of them are drawn from."""


@dataclass(frozen=True)
class DriftTest:
    """One question about incoming fingerprints, and its answer.

    Parameters
    ----------
    name : str
        `outliers`, `shift` or `novelty`.
    value, expected : float
        What was found, and what would be without drift.
    p_value : float
        Probability of a value so large without drift.
    sentence : str
        The same in words.
    """

    name: str
    value: float
    expected: float
    p_value: float
    sentence: str


@dataclass(frozen=True)
class DriftReport:
    """What incoming fingerprints of one model say about drift.

    Parameters
    ----------
    n_known, n_incoming : int
        Fingerprints compared.
    tests : tuple of DriftTest
        The questions asked.
    alpha : float
        Chance of an alarm without drift, over all questions together.
    """

    n_known: int
    n_incoming: int
    tests: tuple[DriftTest, ...]
    alpha: float

    @property
    def drifted(self) -> tuple[DriftTest, ...]:
        """The tests that raise the alarm."""
        limit = self.alpha / max(len(self.tests), 1)
        return tuple(test for test in self.tests if test.p_value < limit)

    @property
    def is_drift(self) -> bool:
        """Whether any test raises the alarm."""
        return bool(self.drifted)

    @property
    def sentence(self) -> str:
        """The report in words."""
        if not self.is_drift:
            names = {test.name for test in self.tests}
            if not names:
                return f"Unknown: nothing to compare {self.n_incoming} runs with."
            peers = [f"{self.n_known} known ones"] * ("outliers" in names)
            peers += ["what the model was trained on"] * ("novelty" in names)
            return (
                f"No drift: {self.n_incoming} incoming runs look like "
                f"{' and '.join(peers)}."
            )
        return "Drift: " + "; ".join(test.sentence for test in self.drifted) + "."

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return {
            **asdict(self),
            "tests": [asdict(test) for test in self.tests],
            "is_drift": self.is_drift,
            "sentence": self.sentence,
        }


def drift_report(
    known: ArrayLike,
    incoming: ArrayLike,
    *,
    novelty: tuple[ArrayLike, ArrayLike] = ((), ()),
    alpha: float = 0.01,
    n_permutations: int = 999,
    random_state: int = 0,
) -> DriftReport:
    """Compare incoming fingerprints with known ones.

    The tests take runs for independent: many scans of one new sample count as many
    witnesses, and raise the alarm although nothing but the sample has changed.

    Parameters
    ----------
    known : array_like of shape (n_known, n_components)
        Fingerprints that stand for what was there before.
    incoming : array_like of shape (n_incoming, n_components)
        Fingerprints of the same model.
    novelty : pair of array_like, of shapes (n_known,) and (n_incoming,), optional
        What the model says of known and of incoming runs: how unlike its training they
        are, nan where not known.
    alpha : float
        Chance of an alarm without drift, shared by all tests.
    n_permutations : int
        Of the test for a shift.
    random_state : int
        Rules all chance.

    Returns
    -------
    DriftReport
        Tests for outliers, for a shift and, where `novelty` is known, for what the
        model was trained on.

    Raises
    ------
    FingerprintError
        If fewer than twenty are known, none came in, or they do not fit together.
    """
    before, after = checked_fingerprints(known), checked_fingerprints(incoming)
    if len(before) < FEWEST_KNOWN or len(after) == 0:
        raise FingerprintError(
            f"drift needs {FEWEST_KNOWN} known fingerprints and 1 incoming, got "
            f"{len(before)} and {len(after)}: choose another date, or wait for runs"
        )
    if before.shape[1] != after.shape[1]:
        raise FingerprintError(
            f"known fingerprints have {before.shape[1]} components, incoming ones "
            f"{after.shape[1]}: they are of different models"
        )

    rng = np.random.default_rng(random_state)
    few = _drawn(before, rng)
    tests = [
        outlier_test(few, after),
        shift_test(few, _drawn(after, rng), n_permutations, rng),
    ]
    tests += novelty_tests(*novelty)
    return DriftReport(len(before), len(after), tuple(tests), alpha)


def outlier_test(known: Floats, incoming: Floats) -> DriftTest:
    r"""Count incoming fingerprints that lie farther out than the known ones do.

    Parameters
    ----------
    known : ndarray of shape (n_known, n_components)
        Fingerprints from before.
    incoming : ndarray of shape (n_incoming, n_components)
        Fingerprints to judge.

    Returns
    -------
    DriftTest
        Share of incoming fingerprints beyond the 99th percentile of the known.

    Notes
    -----
    How far out a fingerprint lies is the distance to its fifth nearest known one. The
    limit is the k-th largest distance among n known ones, itself a matter of chance:
    the number of m incoming ones beyond it has a beta-binomial distribution,

    .. math:: N \sim \mathrm{BetaBin}(m, k, n + 1 - k), \quad k = \max(1, 0.01 n)

    which is the binomial one where n is large.
    """
    far_known = np.sort(_fifth_distances(cdist(known, known), is_self=True))
    far = np.concatenate(
        [
            _fifth_distances(cdist(part, known), is_self=False)
            for part in np.array_split(incoming, 1 + len(incoming) // _MOST)
        ]
    )
    n, m = len(far_known), len(far)
    n_beyond, k, p_value = _beyond(far, far_known)
    return DriftTest(
        "outliers",
        n_beyond / m,
        k / (n + 1),
        p_value,
        f"{n_beyond} of {m} incoming runs ({n_beyond / m:.0%}) lie farther from the "
        f"known ones than {1 - k / n:.0%} of those do from each other",
    )


def shift_test(
    known: Floats, incoming: Floats, n_permutations: int, rng: np.random.Generator
) -> DriftTest:
    r"""Compare two sets of fingerprints as a whole.

    Parameters
    ----------
    known : ndarray of shape (n_known, n_components)
        Fingerprints from before.
    incoming : ndarray of shape (n_incoming, n_components)
        Fingerprints to judge.
    n_permutations : int
        How often known and incoming are mixed.
    rng : numpy.random.Generator
        Mixes them.

    Returns
    -------
    DriftTest
        Energy distance over its mean without drift; p is (k + 1) / (n + 1) for k of n
        permutations that are as far apart.

    Notes
    -----
    .. math:: E = 2 \langle|x - y|\rangle - \langle|x - x'|\rangle
        - \langle|y - y'|\rangle

    References
    ----------
    .. [1] G. J. Szekely, M. L. Rizzo, J. Stat. Plan. Inference 143, 1249 (2013).
    """
    pooled = np.concatenate([known, incoming])
    distances = cdist(pooled, pooled)
    is_incoming = np.arange(len(pooled)) >= len(known)
    halves = np.tile(is_incoming, (n_permutations + 1, 1))
    halves[1:] = rng.permuted(halves[1:], axis=1)
    found, *mixed = _energies(distances, halves).tolist()
    # Sums in another order differ in the last bits: what is equal must count as equal.
    n_as_far = int(np.sum(np.array(mixed) >= found - 1e-12 * distances.mean()))
    p_value = (n_as_far + 1) / (n_permutations + 1)
    typical = float(np.mean(mixed)) or 1.0
    return DriftTest(
        "shift",
        found / typical,
        1.0,
        p_value,
        f"the mix of dynamics has moved by {found / typical:.1f} times what chance "
        f"does (p = {p_value:.2g})",
    )


def novelty_tests(known: ArrayLike, incoming: ArrayLike) -> list[DriftTest]:
    r"""Count incoming runs that are unlike what the model was trained on.

    Parameters
    ----------
    known, incoming : array_like of shape (n_known,) and (n_incoming,)
        Novelty of runs from before and since: mean over q-bins of the share of the
        model's calibration maps that are less novel, 0..1. What is nan is left out.

    Returns
    -------
    list of DriftTest
        One: the share of runs beyond the 99th percentile of the known ones or, if
        fewer than twenty are known, beyond 0.995. None where no novelty is known.

    Notes
    -----
    The known runs set the limit as in :func:`outlier_test`. Without them there is only
    the calibration: one minus the novelty of a map is a p-value, and twice a mean of
    p-values is one again, however they depend on each other [1]_. So 1 % of the runs
    at most have a novelty above 0.995 by chance.

    References
    ----------
    .. [1] V. Vovk, R. Wang, Biometrika 107, 791 (2020).
    """
    before, after = _finite(known), _finite(incoming)
    n, m = len(before), len(after)
    if m == 0:
        return []
    if n < FEWEST_KNOWN:
        n_beyond, expected = int((after > _NOVEL).sum()), _SHARE
        p_value = float(binom.sf(n_beyond - 1, m, _SHARE))
        peers = f"where {_SHARE:.0%} would be by chance at most"
    else:
        n_beyond, k, p_value = _beyond(after, np.sort(before))
        expected = k / (n + 1)
        peers = f"more so than {1 - k / n:.0%} of the known ones"
    return [
        DriftTest(
            "novelty",
            n_beyond / m,
            expected,
            p_value,
            f"{n_beyond} of {m} incoming runs ({n_beyond / m:.0%}) are unlike what the "
            f"model was trained on, {peers}",
        )
    ]


def _finite(values: ArrayLike) -> Floats:
    given = np.asarray(values, np.float64)
    return given[np.isfinite(given)]


def _beyond(incoming: Floats, known: Floats) -> tuple[int, int, float]:
    """Return how many lie beyond the k-th largest of the sorted known, k, and p."""
    n, m = len(known), len(incoming)
    k = max(1, int(_SHARE * n))
    n_beyond = int((incoming > known[-k]).sum())
    return n_beyond, k, float(betabinom.sf(n_beyond - 1, m, k, n + 1 - k))


def _drawn(Z: Floats, rng: np.random.Generator) -> Floats:
    """Return all fingerprints, or as many as can be compared pairwise."""
    if len(Z) <= _MOST:
        return Z
    return Z[np.sort(rng.choice(len(Z), _MOST, replace=False))]


def _fifth_distances(distances: Floats, *, is_self: bool) -> Floats:
    """Return how far the fifth nearest known one is; oneself does not count."""
    position = _N_NEIGHBOURS if is_self else _N_NEIGHBOURS - 1
    return np.asarray(np.partition(distances, position, axis=1)[:, position])


def _energies(distances: Floats, is_incoming: NDArray[np.bool_]) -> Floats:
    """Return the energy distance between the halves that each row tells."""
    m = int(is_incoming[0].sum())
    n = len(distances) - m
    # u.D.u with u = 1/n on one side and -1/m on the other holds all three means.
    signs = np.where(is_incoming, -1.0 / m, 1.0 / n)
    return np.asarray(-np.einsum("ij,ij->i", signs @ distances, signs))
