"""The published autoencoder as a baseline, with the interface of scikit-learn."""

from collections.abc import Callable, Mapping, Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from ainerd_bluesky.errors import ModelError
from ainerd_bluesky.ml.autoencoder import torch_threads
from ainerd_bluesky.ml.published_learning import ImageRecipe, as_images, learn_images
from ainerd_bluesky.ml.published_network import PublishedNetwork, image_size_of

__all__ = ["PublishedAutoencoder"]

_MAX_STEPS = 5000


class PublishedAutoencoder(TransformerMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """AI-NERD's fingerprint: the latent of an autoencoder of min-max scaled images.

    Architecture and recipe are those of [1]_ and its published code; the defaults are
    its sizes. It is here to hold a fingerprint against, trained on the same maps.

    Parameters
    ----------
    size : int
        Rows and columns of an image, a multiple of 64.
    n_components : int
        Size of the fingerprint.
    n_images : int
        Images of each map in an epoch, every one shifted anew along the diagonal.
    n_epochs : int
        Rounds through all images.
    batch_size : int
        Images per step.
    learning_rate : float
        Highest rate of the cyclic schedule.
    random_state : int
        Seed of weights, order, shifts and dropout.
    progress : callable, optional
        Called with epoch and mean loss after each epoch.

    Attributes
    ----------
    network_ : PublishedNetwork
        Trained, in evaluation mode.
    classes_ : ndarray of str, shape (n_classes,)
        Classes in the order of the head; none where there were no words.
    loss_curve_ : list of float
        Mean loss of each epoch.
    n_features_in_ : int
        Rows of a sample.

    Notes
    -----
    What differs from the paper, and why:

    - Images are shifted when they are needed. The paper stores 100 images of each of
      3,986 maps, 104 GB, and shows the same ones in each epoch. Shifts wrap around as
      they do there, though no ageing sample gives such a map.
    - Samples come through `to_sample` as those of every model here: the shot-noise
      diagonal and hot entries are gone before the scaling, without which a single hot
      pixel pair would set it.
    - What is measured with is independent of what was learned from; the paper splits
      at random after the augmentation, so that validation holds shifted copies of
      training maps. Nothing is chosen by a validation loss: the last epoch counts.
    - Numbers are of single precision throughout, so that a seed decides the bits.
    - The latent is multiplied by one number, and its next layer divided by it, so that
      a unit spreads by 1: without, what is learned on it would hang on how long the
      network was trained.
    - Neither batch size nor learning rate are published.
    - Words are told by a linear classifier on the fingerprint, which is frozen by then;
      the paper has clusters only.

    References
    ----------
    .. [1] J. P. Horwath et al., AI-NERD, Nat. Commun. 15, 5945 (2024),
       doi 10.1038/s41467-024-49381-z
    """

    def __init__(  # noqa: PLR0913 - scikit-learn keeps parameters in `__init__`
        self,
        size: int = 256,
        n_components: int = 64,
        *,
        n_images: int = 100,
        n_epochs: int = 51,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        random_state: int = 0,
        progress: Callable[[int, float], None] | None = None,
    ) -> None:
        self.size = size
        self.n_components = n_components
        self.n_images = n_images
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn to give samples back, and words from what the latent keeps of them.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_rows, n_rows)
            Noisy samples.
        y : array_like of str, shape (n_labelled,), optional
            Words of the first samples, two different ones at least; the others have
            none. No word reaches the fingerprint.

        Returns
        -------
        self
            Fitted.

        Raises
        ------
        ModelError
            If samples and words do not fit each other or the network.
        """
        X = _checked(X)
        words = np.asarray([] if y is None else y, dtype=np.str_)
        self.n_features_in_ = X.shape[1]
        self.classes_ = np.unique(words)
        if len(words) > len(X):
            raise ModelError(f"y has {len(words)} words, X {len(X)} samples")
        if len(self.classes_) == 1:
            raise ModelError(f"y must have two different words, got {words[0]!r} only")

        with torch.random.fork_rng():
            torch.manual_seed(self.random_state)
            network = PublishedNetwork(self.size, self.n_components)
            self.loss_curve_ = learn_images(
                network, torch.from_numpy(X), self._recipe(), self.progress or _silent
            )
        self.network_ = network.eval()
        spread = float(np.sqrt(self.transform(X).var(axis=0).mean()))
        if spread > 0:
            network.rescale(1 / spread)
        if len(words):
            self._fit_head(self.transform(X[: len(words)]), words)
        return self

    @classmethod
    def from_state(
        cls, state: Mapping[str, Tensor], classes: Sequence[str], size: int
    ) -> Self:
        """Return a fitted estimator with the given weights.

        Parameters
        ----------
        state : mapping of str to Tensor
            State of a `PublishedNetwork`; it decides the sizes.
        classes : sequence of str
            Classes in the order of the head.
        size : int
            Rows and columns of a sample.

        Returns
        -------
        PublishedAutoencoder
            Ready to transform.

        Raises
        ------
        ModelError
            If the weights do not fit the network.
        """
        try:
            latent = state["latent.weight"]
            autoencoder = cls(image_size_of(latent), len(latent))
            network = PublishedNetwork(
                autoencoder.size, autoencoder.n_components, len(classes)
            )
            network.load_state_dict(dict(state))
        except (KeyError, RuntimeError) as error:
            raise ModelError(f"weights do not fit the network: {error}") from error
        autoencoder.n_features_in_ = size
        autoencoder.classes_ = np.array(classes, dtype=np.str_)
        autoencoder.network_ = network.eval()
        return autoencoder

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Compute the fingerprint.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_rows, n_rows)
            Samples.

        Returns
        -------
        ndarray of float32, shape (n_samples, n_components)
            One at a time, so that a sample gives the same bits alone or in company.
        """
        check_is_fitted(self, "network_")
        return self._each(X, self.network_.encode)

    def scores(self, X: ArrayLike) -> NDArray[np.float32]:
        """Compute the scores of the classes.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_rows, n_rows)
            Samples.

        Returns
        -------
        ndarray of float32, shape (n_samples, n_classes)
            Logarithms of class probabilities up to a constant.

        Raises
        ------
        ModelError
            If no words were learned.
        """
        check_is_fitted(self, "network_")
        head = self.network_.head
        if head is None:
            raise ModelError("no words were learned: give `y` to `fit`")
        return self._each(X, lambda images: head(self.network_.encode(images)))

    def traits(self, X: ArrayLike) -> NDArray[np.float32]:
        """Compute what tells known samples from unknown ones: the fingerprint.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_rows, n_rows)
            Samples.

        Returns
        -------
        ndarray of float32, shape (n_samples, n_components)
            As `transform` gives them.
        """
        return self.transform(X)

    def reconstruct(self, X: ArrayLike) -> NDArray[np.float32]:
        """Make each sample again from its fingerprint, scaled to mean 0 and spread 1.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_rows, n_rows)
            Samples.

        Returns
        -------
        ndarray of float32, shape (n_samples, size, size)
            As large as an image.
        """
        check_is_fitted(self, "network_")
        images = self._each(X, self.network_)
        rest = images - images.mean(axis=(1, 2), keepdims=True)
        spread = rest.std(axis=(1, 2), keepdims=True)
        return np.asarray(rest / np.where(spread > 0, spread, 1), np.float32)

    def _recipe(self) -> ImageRecipe:
        return ImageRecipe(
            self.n_epochs,
            self.n_images,
            self.batch_size,
            self.learning_rate,
            self.random_state,
        )

    def _fit_head(self, Z: NDArray[np.float32], words: NDArray[np.str_]) -> None:
        """Put a linear classifier of scaled latents into the head."""
        scaler = StandardScaler().fit(Z)
        linear = LogisticRegression(max_iter=_MAX_STEPS)
        linear.fit(scaler.transform(Z), words)
        weight, bias = linear.coef_, linear.intercept_
        if len(weight) == 1:
            # Of two classes one has all the weight; the other is its opposite.
            weight, bias = np.stack([-weight[0], weight[0]]) / 2, np.r_[-bias, bias] / 2
        weight = weight / scaler.scale_
        bias = bias - weight @ scaler.mean_
        # Without random weights of its own: nothing else is to depend on words.
        empty = nn.Linear(weight.shape[1], len(weight), device="meta")
        head = empty.to_empty(device="cpu")
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(weight))
            head.bias.copy_(torch.from_numpy(bias))
        self.network_.head = head

    def _each(
        self, X: ArrayLike, function: Callable[[Tensor], Tensor]
    ) -> NDArray[np.float32]:
        X = _checked(X)
        if X.shape[1] != self.n_features_in_:
            raise ModelError(
                f"samples have {X.shape[1]} rows, the model {self.n_features_in_}"
            )
        with torch_threads(1), torch.inference_mode():
            size = self.network_.size
            samples = torch.from_numpy(X)
            rows = [function(as_images(sample[None], size)) for sample in samples]
            return torch.cat(rows).numpy()


def _checked(X: ArrayLike) -> NDArray[np.float32]:
    samples = np.ascontiguousarray(X, dtype=np.float32)
    shape = samples.shape
    if len(shape) != 3 or shape[1] != shape[2] or 0 in shape:
        raise ModelError(f"X must be (n_samples, n_rows, n_rows), got {shape}")
    return samples


def _silent(epoch: int, loss: float) -> None:
    """Report nothing."""
