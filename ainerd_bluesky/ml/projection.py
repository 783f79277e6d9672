"""A flat picture of the latent space in which earlier points never move."""

import json
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from ainerd_bluesky.errors import ModelError
from ainerd_bluesky.files import replaced

__all__ = [
    "FrozenProjection",
    "is_discriminable",
    "load_projection",
    "save_projection",
]

Floats = NDArray[np.float64]

_FEWEST_LABELS = 3
_SURPLUS = 2
"""Points for each label and each feature: what a scatter matrix needs to be steady."""


class FrozenProjection(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A linear projection that is fitted once and applied ever after.

    Linear, so that a new point has its place without moving the others, and distances
    in the picture mean something; clusters are to be sought in the latent, not here.

    Parameters
    ----------
    n_components : int
        Axes of the picture.
    method : {"pca", "discriminant"}
        `pca` shows what varies most and needs no labels; `discriminant` shows what
        tells the labels apart, and needs more labels than there are axes.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features_in_,)
        Fingerprint at the origin of the picture.
    components_ : ndarray of shape (n_components, n_features_in_)
        Axes, one a row; the largest entry of each is positive.
    limits_ : ndarray of shape (n_components, 2)
        Least and largest coordinate of the points fitted: the frame of the picture.
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        method: Literal["pca", "discriminant"] = "pca",
    ) -> None:
        self.n_components = n_components
        self.method = method

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Choose the axes.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Fingerprints.
        y : array_like of shape (n_samples,), optional
            Labels; `discriminant` needs them.

        Returns
        -------
        FrozenProjection
            Fitted.

        Raises
        ------
        ValueError
            If there are fewer points, features or labels than the method needs, or the
            points of each label do not scatter.
        """
        if self.method not in {"pca", "discriminant"}:
            raise ValueError(f"method is pca or discriminant, got {self.method!r}")
        is_blind = self.method == "pca"
        if is_blind:
            points = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
            labels = None
        else:
            points, labels = validate_data(self, X, y, dtype=np.float64)
            check_classification_targets(labels)

        self.mean_ = points.mean(axis=0)
        axes = self._axes(points, labels)
        strongest = np.abs(axes).argmax(axis=1)
        signs = np.sign(axes[np.arange(len(axes)), strongest])
        signed = axes * np.where(signs == 0, 1, signs)[:, None]
        self.components_ = np.ascontiguousarray(signed)
        flat = self.transform(points)
        self.limits_ = np.stack([flat.min(axis=0), flat.max(axis=0)], axis=1)
        return self

    def transform(self, X: ArrayLike) -> Floats:
        """Project fingerprints.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Fingerprints.

        Returns
        -------
        ndarray of float64, shape (n_samples, n_components)
            Places in the picture; each depends on its own fingerprint alone.
        """
        check_is_fitted(self)
        points = validate_data(
            self, X, dtype=np.float64, order="C", reset=False, copy=True
        )
        points -= self.mean_
        # Matrix products round by how many rows there are; these sums do not.
        return np.asarray(np.einsum("ij,kj->ik", points, self.components_))

    def _axes(self, points: Floats, labels: NDArray[Any] | None) -> Floats:
        n = self.n_components
        if labels is None:
            most = min(points.shape)
            if n > most:
                raise ValueError(
                    f"n_components={n} axes need as many samples and features, got "
                    f"{points.shape[0]} samples and {points.shape[1]} features"
                )
            return np.asarray(PCA(n, svd_solver="full").fit(points).components_)
        most = min(len(np.unique(labels)) - 1, points.shape[1])
        if n > most:
            raise ValueError(
                f"n_components={n} axes need {n + 1} labels, got {most + 1} class(es): "
                'use method="pca"'
            )
        discriminant = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")
        try:
            discriminant.fit(points, labels)
        except np.linalg.LinAlgError as error:
            raise ValueError(
                f"{len(points)} samples of {most + 1} labels do not scatter enough to "
                f'tell the labels apart ({error}): use method="pca"'
            ) from error
        return np.asarray(discriminant.scalings_[:, :n].T)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.method == "discriminant"
        return tags


def is_discriminable(X: ArrayLike, y: ArrayLike) -> bool:
    """Decide whether the method `discriminant` has enough points to go by.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        Fingerprints.
    y : array_like of shape (n_samples,)
        Labels.

    Returns
    -------
    bool
        True if there are three labels, each of two points at least, and twice as many
        points as labels and features together.
    """
    n_samples, n_features = np.shape(X)
    _, counts = np.unique(np.asarray(y), return_counts=True)
    n_needed = _SURPLUS * (len(counts) + n_features)
    return bool(
        len(counts) >= _FEWEST_LABELS and counts.min() > 1 and n_samples >= n_needed
    )


def save_projection(
    projection: FrozenProjection, path: Path, *, model_sha256: str
) -> None:
    """Write a projection as JSON; what stands there is replaced at once or not at all.

    Parameters
    ----------
    projection : FrozenProjection
        Fitted.
    path : Path
        File to write.
    model_sha256 : str
        Model whose fingerprints it projects.
    """
    text = json.dumps(
        {
            "model_sha256": model_sha256,
            "method": projection.method,
            "mean": projection.mean_.tolist(),
            "components": projection.components_.tolist(),
            "limits": projection.limits_.tolist(),
        }
    )
    with replaced(path) as draft:
        draft.write_text(text)


def load_projection(path: Path, *, model_sha256: str) -> FrozenProjection:
    """Read a projection.

    Parameters
    ----------
    path : Path
        What `save_projection` wrote.
    model_sha256 : str
        Model whose fingerprints are to be projected.

    Returns
    -------
    FrozenProjection
        Projects to the same places as the one saved.

    Raises
    ------
    ModelError
        If the file is damaged, or of another model.
    """
    try:
        state = json.loads(path.read_text())
        made_by, method = str(state["model_sha256"]), state["method"]
        mean, components, limits = (
            np.array(state[name], np.float64)
            for name in ("mean", "components", "limits")
        )
        n_components, n_features = components.shape
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} is no projection ({error!r}): remove it, and one is fitted anew"
        ) from error
    if made_by != model_sha256:
        raise ModelError(
            f"{path} projects fingerprints of model {made_by[:12]}, these are of "
            f"{model_sha256[:12]}: name another file"
        )
    projection = FrozenProjection(n_components, method=method)
    projection.mean_, projection.components_ = mean, components
    projection.limits_ = limits
    projection.n_features_in_ = n_features
    return projection
