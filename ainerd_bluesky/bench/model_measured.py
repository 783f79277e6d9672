"""Figures of a model on measured maps."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom
from scipy.stats import spearmanr
from sklearn.neighbors import KNeighborsRegressor, NearestNeighbors

from ainerd_bluesky.bench.model_rows import ModelRow
from ainerd_bluesky.bench.representations import BASELINES
from ainerd_bluesky.ml import Model
from ainerd_bluesky.ml.measured_maps import ChxCrops, load_chx_crops

__all__ = [
    "RateFigures",
    "measured_rows",
    "rate_figures",
    "reconstruction_error",
    "same_target_share",
]

Floats = NDArray[np.floating]

_N_NEIGHBOURS = 15
_N_SPLITS = 5
_RHEOLOGY_MAP = Path("aps8idi_rheo", "two_time_target.npy")
# Below this spread over measured maps a component says nothing.
_DEAD = 1e-6
_SUBJECTS = (
    "CHX: rate, 15 neighbours, dex",
    "CHX: rate, Spearman's rho",
    "CHX: neighbour of same region",
    "APS 8-ID map: reconstruction L1",
    "components without variation",
)


@dataclass(frozen=True)
class RateFigures:
    """How well neighbours tell the relaxation rate.

    Parameters
    ----------
    rmse : float
        Root mean square error, in decades.
    rho : float
        Rank correlation of told and true rate.
    """

    rmse: float
    rho: float


def measured_rows(model: Model, folder: Path) -> list[ModelRow]:
    """Measure on the maps of CHX and APS 8-ID.

    Queries are crops of experiments that no shipped model learns from, references
    those of the others.

    Parameters
    ----------
    model : Model
        To measure.
    folder : Path
        Of the measurements; need not exist.

    Returns
    -------
    list of ModelRow
        Without figures where there are no measurements.
    """
    if not folder.is_dir():
        note = f"no measurements: {folder} is no folder"
        return [ModelRow(subject, note=note) for subject in _SUBJECTS]
    crops = load_chx_crops(folder)
    spaces = {"model": model.embed(crops.crops)}
    spaces |= {name: make(list(crops.crops)) for name, make in BASELINES.items()}
    return [
        *_rate_rows(spaces, crops),
        _neighbour_row(spaces, crops),
        *_reconstruction_rows(model, folder, spaces["model"]),
    ]


def rate_figures(Z: Floats, crops: ChxCrops) -> RateFigures:
    """Tell the rate of held-out crops by the mean of their nearest neighbours.

    Parameters
    ----------
    Z : ndarray of shape (n_crops, n_components)
        Any description of the crops.
    crops : ChxCrops
        Which experiment each is of, and its rate.

    Returns
    -------
    RateFigures
        Mean over five draws of four fifths of the other experiments.
    """
    is_query = crops.is_held_out & np.isfinite(crops.log_rate)
    is_reference = ~crops.is_held_out & np.isfinite(crops.log_rate)
    names = np.unique(crops.experiments[is_reference])
    true = crops.log_rate[is_query]
    figures = []
    for seed in range(_N_SPLITS):
        rng = np.random.default_rng(seed)
        kept = rng.choice(names, len(names) * 4 // 5, replace=False)
        chosen = is_reference & np.isin(crops.experiments, kept)
        neighbours = KNeighborsRegressor(_N_NEIGHBOURS)
        told = neighbours.fit(Z[chosen], crops.log_rate[chosen]).predict(Z[is_query])
        error = np.sqrt(np.mean((told - true) ** 2))
        figures.append((error, spearmanr(told, true).statistic))
    rmse, rho = np.mean(figures, axis=0)
    return RateFigures(float(rmse), float(rho))


def same_target_share(Z: Floats, target_index: NDArray[np.int64]) -> float:
    """Compute how often the nearest neighbour shows the same dynamics.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_components)
        Any description of the samples.
    target_index : ndarray of int64, shape (n_samples,)
        The same number for the same experiment and region.

    Returns
    -------
    float
        Share of samples, 0 to 1.

    Examples
    --------
    >>> same_target_share(np.array([[0.0], [0.1], [5.0]]), np.array([1, 1, 2]))
    0.6666666666666666
    """
    pairs = NearestNeighbors(n_neighbors=1).fit(Z).kneighbors(return_distance=False)
    return float(np.mean(target_index[pairs[:, 0]] == target_index))


def reconstruction_error(two_time: Floats, estimate: Floats) -> float:
    """Compare a map with what the latent kept of it, at the map's own size.

    Parameters
    ----------
    two_time : ndarray of shape (n, n)
        The map, scaled to 0..1.
    estimate : ndarray of shape (size, size)
        What the decoder gave; contrast and baseline are fitted.

    Returns
    -------
    float
        Mean absolute difference.
    """
    scale = len(two_time) / len(estimate)
    full = zoom(estimate, scale, order=1, mode="nearest", grid_mode=True)
    terms = np.stack([full.ravel(), np.ones(full.size)], axis=1)
    fit, *_ = np.linalg.lstsq(terms, two_time.ravel(), rcond=None)
    return float(np.abs(terms @ fit - two_time.ravel()).mean())


def _rate_rows(spaces: dict[str, Floats], crops: ChxCrops) -> list[ModelRow]:
    found = {name: rate_figures(Z, crops) for name, Z in spaces.items()}
    own = found.pop("model")
    rmse = {name: figures.rmse for name, figures in found.items()}
    rho = {name: figures.rho for name, figures in found.items()}
    n_queries = int((crops.is_held_out & np.isfinite(crops.log_rate)).sum())
    note = f"{n_queries} crops of experiments held out"
    return [
        ModelRow(_SUBJECTS[0], own.rmse, 0.120, baselines=rmse, note=note),
        ModelRow(_SUBJECTS[1], own.rho, 0.94, more_is_better=True, baselines=rho),
    ]


def _neighbour_row(spaces: dict[str, Floats], crops: ChxCrops) -> ModelRow:
    held_out = crops.is_held_out
    shares = {
        name: same_target_share(Z[held_out], crops.target_index[held_out])
        for name, Z in spaces.items()
    }
    own = shares.pop("model")
    note = f"among {int(held_out.sum())} crops of experiments held out"
    return ModelRow(
        _SUBJECTS[2], own, 0.25, more_is_better=True, baselines=shares, note=note
    )


def _reconstruction_rows(model: Model, folder: Path, Z: Floats) -> list[ModelRow]:
    two_time = np.load(folder / _RHEOLOGY_MAP).astype(np.float32)
    error = reconstruction_error(two_time, model.reconstruct(two_time)[0])
    n_dead = float((Z.std(axis=0) < _DEAD).sum())
    return [
        ModelRow(
            _SUBJECTS[3],
            error,
            0.030,
            note=f"{Z.shape[1]} components, contrast and baseline fitted; "
            "the published weights: 0.0368",
        ),
        ModelRow(_SUBJECTS[4], n_dead, 0, note="of the published weights: 20 of 64"),
    ]
