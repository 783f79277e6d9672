"""Phase diagrams to be explored: what a sample at each place would hold.

None of it is what a selector assumes: boundaries are bent, phases coexist by the lever
rule over bands of different widths, and the outlines of rare phases are neither round
nor of one size.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.bench.selection_answers import KINDS

__all__ = ["Diagram", "DiagramSettings", "draw_diagram", "simplex_shares"]

Floats = NDArray[np.float64]

_N_COMMON = 5
_RARE_SHARE = 0.01
_LEAST_REGION = 0.1
_APART = 0.25
# Phases that meet without coexistence still need a width to divide by.
_SHARP = 1e-6
_CORNERS = np.array([(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)])


@dataclass(frozen=True)
class DiagramSettings:
    """What kind of phase diagram.

    Parameters
    ----------
    n_samples : int
        Samples at random places; 0 for a grid of 30 x 30 conditions.
    phases : str
        ``regions`` with bent boundaries, a ``checkerboard`` of two, or all ``alike``.
    rare : str
        Where the rare patches lie: ``anywhere``, where common kinds are ``meeting``,
        ``far`` from every boundary, in a ``corner`` each, or ``none``.
    bands : tuple of float
        Widths of the bands where two phases coexist, from and to, as fractions of the
        range; the common kinds of a diagram have one, each rare patch its own.
    """

    n_samples: int = 400
    phases: Literal["regions", "checkerboard", "alike"] = "regions"
    rare: Literal["anywhere", "meeting", "far", "corner", "none"] = "anywhere"
    bands: tuple[float, float] = (0.1, 0.2)


@dataclass(frozen=True, eq=False)
class Diagram:
    """Samples and what they hold.

    Parameters
    ----------
    points : ndarray of shape (n_samples, 2)
        Temperature and composition, 0 to 1.
    shares : ndarray of shape (n_samples, n_kinds)
        Share of each kind of dynamics; they add up to 1.
    rare : tuple of int
        The kinds that are rare, index into `KINDS`.
    """

    points: Floats
    shares: Floats
    rare: tuple[int, ...]

    @property
    def truth(self) -> NDArray[np.int64]:
        """The kind with the largest share, of each sample."""
        return np.asarray(self.shares.argmax(axis=1))


def draw_diagram(settings: DiagramSettings, rng: np.random.Generator) -> Diagram:
    """Draw a phase diagram of five common and three rare kinds.

    Parameters
    ----------
    settings : DiagramSettings
        Of what kind.
    rng : numpy.random.Generator
        Source of all chance.

    Returns
    -------
    Diagram
        Rare kinds have the largest share in 1 % of the samples each.
    """
    n = settings.n_samples
    points = rng.random((n, 2)) if n else _grid(30)
    kinds = rng.permutation(len(KINDS))
    common, rare = kinds[:_N_COMMON], kinds[_N_COMMON:]
    shares = np.zeros((len(points), len(KINDS)))
    shares[:, common] = _common_shares(points, settings, rng)
    if settings.rare == "none":
        return Diagram(points, shares, ())
    shares = _with_rare(points, shares, rare, settings, rng)
    return Diagram(points, shares, tuple(rare.tolist()))


def simplex_shares(distance: Floats, band: float) -> Floats:
    """Return what coexists where, by the lever rule.

    Parameters
    ----------
    distance : ndarray of shape (n_points, n_phases)
        To each phase; a boundary is where two are equal.
    band : float
        Width of the band, in the same units, over which two phases coexist.

    Returns
    -------
    ndarray of float64, shape (n_points, n_phases)
        Shares that change along a straight line across the band and add up to 1.

    Notes
    -----
    The projection onto the simplex [1]_: of two phases, the line between them; of
    three, the triangle.

    References
    ----------
    .. [1] A. Martins and R. Astudillo, Proc. ICML 48, 1614 (2016).

    Examples
    --------
    >>> simplex_shares(np.array([[0.0, 0.0], [0.0, 0.1], [0.0, 0.5]]), 0.2)
    array([[0.5 , 0.5 ],
           [0.75, 0.25],
           [1.  , 0.  ]])
    """
    score = -distance / max(band, _SHARP)
    ordered = -np.sort(-score, axis=1)
    count = np.arange(1, score.shape[1] + 1)
    total = ordered.cumsum(axis=1) - 1
    n_present = (ordered * count > total).sum(axis=1)
    level = total[np.arange(len(score)), n_present - 1] / n_present
    return np.asarray(np.maximum(score - level[:, None], 0.0))


def _grid(n_steps: int) -> Floats:
    steps = (np.arange(n_steps) + 0.5) / n_steps
    return np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)


def _common_shares(
    points: Floats, settings: DiagramSettings, rng: np.random.Generator
) -> Floats:
    """Divide the plane among the common kinds."""
    shares = np.zeros((len(points), _N_COMMON))
    if settings.phases == "alike":
        shares[:, 0] = 1.0
        return shares
    if settings.phases == "checkerboard":
        n_cells = rng.integers(6, 11)
        cell = np.floor(points * n_cells + rng.random(2)).sum(axis=1).astype(int) % 2
        shares[np.arange(len(points)), cell] = 1.0
        return shares
    return _regions(points, settings.bands, rng)


def _regions(
    points: Floats, bands: tuple[float, float], rng: np.random.Generator
) -> Floats:
    """Draw regions with bent boundaries, each of at least a tenth of the points."""
    while True:
        wave = rng.uniform(2.0, 6.0, (2, 2))
        phase = rng.uniform(0.0, 2 * np.pi, 2)
        bent = points + 0.08 * np.sin(points @ wave + phase)
        centres = rng.random((_N_COMMON, 2))
        distance = np.linalg.norm(bent[:, None] - centres, axis=2)
        counts = np.bincount(distance.argmin(axis=1), minlength=_N_COMMON)
        if counts.min() >= _LEAST_REGION * len(points):
            return simplex_shares(distance, rng.uniform(*bands))


def _with_rare(
    points: Floats,
    shares: Floats,
    rare: NDArray[np.int64],
    settings: DiagramSettings,
    rng: np.random.Generator,
) -> Floats:
    """Give patches of the plane to the rare kinds."""
    n_each = max(1, round(_RARE_SHARE * len(points)))
    centres = _rare_centres(points, shares, len(rare), settings, rng)
    for kind, centre in zip(rare, centres, strict=True):
        distance = _from_centre(points - centre, rng)
        band = max(rng.uniform(*settings.bands), _SHARP)
        # Where common kinds share a sample, less than half of it is the largest share.
        most = shares.max(axis=1)
        reached = distance + band * (most / (1 + most) - 0.5)
        edge = np.sort(reached)[n_each - 1 : n_each + 1].mean()
        share = np.clip(0.5 + (edge - distance) / band, 0.0, 1.0)
        shares = shares * (1 - share[:, None])
        shares[:, kind] += share
    return shares


def _from_centre(away: Floats, rng: np.random.Generator) -> Floats:
    """Return distances from the middle of a wavy ellipse that is turned at random."""
    turn, aspect = rng.uniform(0, np.pi), rng.uniform(1.0, 2.5)
    cos, sin = np.cos(turn), np.sin(turn)
    along, across = away @ (cos, sin), away @ (-sin, cos)
    angle = np.arctan2(across, along)
    wavy = 1.0 + 0.25 * np.cos(3 * angle + rng.uniform(0, 2 * np.pi))
    return np.asarray(np.hypot(along / aspect**0.5, across * aspect**0.5) / wavy)


def _rare_centres(
    points: Floats,
    shares: Floats,
    n_centres: int,
    settings: DiagramSettings,
    rng: np.random.Generator,
) -> list[Floats]:
    """Choose places for the rare patches, a quarter of the range from each other."""
    top = shares.max(axis=1)
    order = rng.permutation(len(points))
    if settings.rare == "meeting":
        order = order[np.argsort(top[order] > 0.75, kind="stable")]
    elif settings.rare == "far":
        order = order[np.argsort(-_room(points, top)[order], kind="stable")]
    elif settings.rare == "corner":
        corner = np.linalg.norm(points[:, None] - _CORNERS, axis=2).min(axis=1)
        order = order[np.argsort(corner[order], kind="stable")]
    centres: list[Floats] = []
    for point in points[order]:
        if all(np.linalg.norm(point - other) > _APART for other in centres):
            centres.append(point)
        if len(centres) == n_centres:
            break
    return centres


def _room(points: Floats, top: Floats) -> Floats:
    """Return how far each point is from all where phases coexist."""
    mixed = points[top < 1.0 - 1e-9]
    if len(mixed) == 0:
        return np.ones(len(points))
    return np.asarray(np.linalg.norm(points[:, None] - mixed, axis=2).min(axis=1))
