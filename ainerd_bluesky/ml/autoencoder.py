"""The fingerprint of two-time maps, with the interface of scikit-learn."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ainerd_bluesky.errors import ModelError
from ainerd_bluesky.ml.augmentation import disturbed
from ainerd_bluesky.ml.decay import Spread, spread_of_groups, spread_of_pairs
from ainerd_bluesky.ml.learning import MeasuredViews, Recipe, SceneViews, learn
from ainerd_bluesky.ml.map_features import map_features
from ainerd_bluesky.ml.measured_maps import MeasuredGroups
from ainerd_bluesky.ml.network import DynamicsNetwork
from ainerd_bluesky.vocabulary import Label

__all__ = ["DynamicsAutoencoder", "torch_threads"]

_SIZE_STEP = 16
_N_VIEWS = 2
_REVERSED: dict[str, str] = {
    Label.AGING: Label.ACCELERATING,
    Label.ACCELERATING: Label.AGING,
}
# Measured noise is the noise that counts; simulated maps show more kinds of decay.
_SIMULATED_SHARE = 0.1
# A scene that keeps this much of its contrast everywhere is told by its level alone.
_FLAT = 0.8


class DynamicsAutoencoder(TransformerMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """Fingerprint of two-time maps that keeps dynamics and drops noise.

    Two views of a scene, which differ in q, photons and pixels, learn to have one
    kind; the decay tells how correlation is lost; the shape are
    coordinates from which the map can be made again. A class head learns words beside
    them: no label reaches the fingerprint.

    Parameters
    ----------
    n_kind, n_shape, n_decay : int
        Sizes of the parts of the fingerprint.
    width : int
        Units of the hidden layers.
    n_epochs : int
        Times that every scene is seen, each time changed anew.
    batch_size : int
        Scenes per step.
    learning_rate : float
        Highest rate of the one-cycle schedule.
    class_weight : float
        Weight of the class loss; 0 learns no words.
    random_state : int
        Seed of weights, order and augmentation.
    progress : callable, optional
        Called with epoch and mean loss after each epoch.

    Attributes
    ----------
    network_ : DynamicsNetwork
        Trained, in evaluation mode.
    classes_ : ndarray of str, shape (n_classes,)
        Classes in the order of the head.
    loss_curve_ : list of float
        Mean loss of each epoch.
    n_features_in_ : int
        Rows of a sample.
    """

    def __init__(  # noqa: PLR0913 - scikit-learn keeps parameters in `__init__`
        self,
        n_kind: int = 24,
        n_shape: int = 34,
        *,
        n_decay: int = 6,
        width: int = 384,
        n_epochs: int = 30,
        batch_size: int = 128,
        learning_rate: float = 2e-3,
        class_weight: float = 1.0,
        random_state: int = 0,
        progress: Callable[[int, float], None] | None = None,
    ) -> None:
        self.n_kind = n_kind
        self.n_shape = n_shape
        self.n_decay = n_decay
        self.width = width
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.class_weight = class_weight
        self.random_state = random_state
        self.progress = progress

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        clean: ArrayLike | None = None,
        measured: MeasuredGroups | None = None,
    ) -> Self:
        """Learn from pairs of noisy samples.

        Parameters
        ----------
        X : array_like of shape (n_scenes, 2, size, size)
            Two noisy samples of each scene.
        y : array_like of str, shape (n_scenes,)
            Word of each.
        clean : array_like of shape (n_scenes, 2, size, size), optional
            The square of g1 behind each; unset: the samples less 1, clipped.
        measured : MeasuredGroups, optional
            Measured maps to learn from too; they need no word.

        Returns
        -------
        self
            Fitted.

        Raises
        ------
        ModelError
            If samples and labels do not fit each other or the network.
        """
        X = _checked(X, n_views=_N_VIEWS)
        y = np.asarray(y, dtype=np.str_)
        if len(y) != len(X):
            raise ModelError(f"y has {len(y)} labels, X {len(X)} samples")
        if clean is None:
            clean = np.clip(X - 1.0, 0.0, 1.0)
        clean = _checked(clean, n_views=_N_VIEWS)

        self.n_features_in_ = X.shape[-1]
        self.classes_ = np.unique(y)
        rng = np.random.default_rng(self.random_state)
        scenes = _scene_views(X, clean, y, rng)
        views = None if measured is None else _measured_views(measured)
        with torch.random.fork_rng():
            torch.manual_seed(self.random_state)
            network = self._new_network()
            network.shape.fit(torch.from_numpy(clean[:, 0]))
            network.decay.fit(_decay_spread(X, clean, measured))
            recipe = Recipe(
                self.n_epochs,
                self.batch_size,
                self.learning_rate,
                self.class_weight,
                self.random_state,
            )
            report = self.progress or _silent
            self.loss_curve_ = learn(network, scenes, views, recipe, report)
        self.network_ = network.eval()
        return self

    @classmethod
    def from_state(
        cls, state: Mapping[str, Tensor], classes: Sequence[str], size: int
    ) -> Self:
        """Return a fitted estimator with the given weights.

        Parameters
        ----------
        state : mapping of str to Tensor
            State of a `DynamicsNetwork`; it decides the sizes.
        classes : sequence of str
            Classes in the order of the head.
        size : int
            Rows and columns of a sample.

        Returns
        -------
        DynamicsAutoencoder
            Ready to transform.

        Raises
        ------
        ModelError
            If the weights do not fit the network.
        """
        try:
            n_decay, n_shape = (
                state[f"{part}.basis"].shape[1] for part in ("decay", "shape")
            )
            width, n_kind = state["kind.6.weight"].shape[::-1]
            autoencoder = cls(n_kind, n_shape, n_decay=n_decay, width=width)
            autoencoder.n_features_in_ = size
            autoencoder.classes_ = np.array(classes)
            network = autoencoder._new_network()
            network.load_state_dict(dict(state))
        except (KeyError, RuntimeError) as error:
            raise ModelError(f"weights do not fit the network: {error}") from error
        autoencoder.network_ = network.eval()
        return autoencoder

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Compute the fingerprint.

        Parameters
        ----------
        X : array_like of shape (n_samples, size, size)
            Samples.

        Returns
        -------
        ndarray of float32, shape (n_samples, n_kind + n_decay + n_shape)
            One at a time, so that a sample gives the same bits alone or in company.
        """
        check_is_fitted(self, "network_")
        return self._each(X, self.network_.fingerprint)

    def scores(self, X: ArrayLike) -> NDArray[np.float32]:
        """Compute the scores of the classes.

        Parameters
        ----------
        X : array_like of shape (n_samples, size, size)
            Samples.

        Returns
        -------
        ndarray of float32, shape (n_samples, n_classes)
            Logarithms of class probabilities up to a constant.
        """
        check_is_fitted(self, "network_")
        return self._each(X, lambda _, inputs: self.network_.head(inputs))

    def traits(self, X: ArrayLike) -> NDArray[np.float32]:
        """Compute what tells known samples from unknown ones.

        Parameters
        ----------
        X : array_like of shape (n_samples, size, size)
            Samples.

        Returns
        -------
        ndarray of float32, shape (n_samples, 2 * width)
            See `DynamicsNetwork.traits`.
        """
        check_is_fitted(self, "network_")
        return self._each(X, lambda _, inputs: self.network_.traits(inputs))

    def reconstruct(self, X: ArrayLike) -> NDArray[np.float32]:
        """Make each sample again from its fingerprint, scaled to mean 0 and spread 1.

        Parameters
        ----------
        X : array_like of shape (n_samples, size, size)
            Samples.

        Returns
        -------
        ndarray of float32, shape (n_samples, size, size)
            Symmetric.
        """
        check_is_fitted(self, "network_")
        shape = self.network_.shape
        return self._each(X, lambda samples, _: shape.rebuild(shape(samples)))

    def _new_network(self) -> DynamicsNetwork:
        size = self.n_features_in_
        n_features = map_features(np.ones((1, size, size), np.float32)).shape[1]
        return DynamicsNetwork(
            n_features,
            size,
            self.n_kind,
            self.n_shape,
            len(self.classes_),
            self.width,
            self.n_decay,
        )

    def _each(
        self, X: ArrayLike, function: Callable[[Tensor, Tensor], Tensor]
    ) -> NDArray[np.float32]:
        X = _checked(X)
        if X.shape[1] != self.n_features_in_:
            raise ModelError(
                f"samples have {X.shape[1]} rows, the model {self.n_features_in_}"
            )
        # One small sample leaves nothing to share: threads would only wait.
        with torch_threads(1), torch.inference_mode():
            inputs = torch.from_numpy(map_features(X))[:, None]
            rows = [
                function(sample[None], self.network_.prepare(row))
                for sample, row in zip(torch.from_numpy(X), inputs, strict=True)
            ]
            return torch.cat(rows).numpy()


@contextmanager
def torch_threads(n_threads: int) -> Iterator[None]:
    """Let torch use so many threads inside a `with` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _checked(X: ArrayLike, n_views: int = 0) -> NDArray[np.float32]:
    samples = np.ascontiguousarray(X, dtype=np.float32)
    wanted = (n_views,) if n_views else ()
    shape = samples.shape
    if len(shape) != 3 + len(wanted) or shape[1:-2] != wanted or shape[-1] != shape[-2]:
        words = ", ".join(["n_samples", *map(str, wanted), "size", "size"])
        raise ModelError(f"X must be ({words}), got {shape}")
    if len(samples) == 0 or shape[-1] % _SIZE_STEP:
        raise ModelError(
            f"X must hold samples whose size is a multiple of {_SIZE_STEP}, "
            f"got shape {shape}"
        )
    return samples


def _both_ways(samples: NDArray[np.float32]) -> Tensor:
    """Describe samples forwards and backwards in time."""
    backwards = samples[:, ::-1, ::-1]
    return torch.from_numpy(np.stack([map_features(samples), map_features(backwards)]))


def _scene_views(
    X: NDArray[np.float32],
    clean: NDArray[np.float32],
    y: NDArray[np.str_],
    rng: np.random.Generator,
) -> SceneViews:
    words = np.unique(y).tolist()
    # A word whose reverse is not among the words is its own.
    backwards = np.array(
        [
            words.index(reverse if reverse in words else word)
            for word, reverse in ((word, _REVERSED.get(word, word)) for word in words)
        ]
    )
    forwards = np.searchsorted(words, y)
    features = _both_ways(disturbed(X.reshape(-1, *X.shape[2:]), rng))
    return SceneViews(
        features.view(2, *X.shape[:2], -1),
        torch.from_numpy(np.stack([forwards, backwards[forwards]])),
        torch.from_numpy(clean.min(axis=(1, 2, 3)) > _FLAT),
    )


def _measured_views(measured: MeasuredGroups) -> MeasuredViews:
    members = [
        torch.from_numpy(np.flatnonzero(measured.groups == group))
        for group in np.unique(measured.groups)
    ]
    pairs = [maps for maps in members if len(maps) >= _N_VIEWS]
    return MeasuredViews(_both_ways(measured.samples), pairs)


def _decay_spread(
    X: NDArray[np.float32],
    clean: NDArray[np.float32],
    measured: MeasuredGroups | None,
) -> Spread:
    # What shows nothing has no decay.
    is_seen = clean.max(axis=(2, 3)) > 0
    simulated = spread_of_pairs(
        torch.from_numpy(X[is_seen]), torch.from_numpy(clean[is_seen])
    )
    if measured is None:
        return simulated
    own = spread_of_groups(torch.from_numpy(measured.samples), measured.groups)
    return own.with_share(simulated, _SIMULATED_SHARE)


def _silent(epoch: int, loss: float) -> None:
    """Report nothing."""
