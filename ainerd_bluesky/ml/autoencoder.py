"""Denoising autoencoder with the interface of scikit-learn."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from ainerd_bluesky.errors import ModelError
from ainerd_bluesky.ml.augmentation import Augmentation
from ainerd_bluesky.ml.network import DynamicsNetwork
from ainerd_bluesky.vocabulary import Label

__all__ = ["DynamicsAutoencoder", "torch_threads"]

_SIZE_STEP = 16
# Mean squared errors of maps are small numbers beside the class loss.
_MAP_WEIGHT = 10.0
_REVERSED: dict[str, str] = {
    Label.AGING: Label.ACCELERATING,
    Label.ACCELERATING: Label.AGING,
}
_FLAT: frozenset[str] = frozenset({Label.STATIC})


class DynamicsAutoencoder(TransformerMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """Fingerprint of two-time maps that keeps dynamics and drops noise.

    The decoder learns the square of g1 from a noisy map, a linear head on the latent
    learns the class; both losses shape the latent together.

    Parameters
    ----------
    n_components : int
        Size of the latent.
    width : int
        Channels of the first layer.
    n_epochs : int
        Times that every sample is seen, each time changed anew.
    batch_size : int
        Samples per step.
    learning_rate : float
        Highest rate of the one-cycle schedule.
    class_weight : float
        Weight of the class loss; 0 learns without labels.
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
        n_components: int = 32,
        *,
        width: int = 24,
        n_epochs: int = 30,
        batch_size: int = 128,
        learning_rate: float = 3e-3,
        class_weight: float = 1.0,
        random_state: int = 0,
        progress: Callable[[int, float], None] | None = None,
    ) -> None:
        self.n_components = n_components
        self.width = width
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.class_weight = class_weight
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: ArrayLike, y: ArrayLike, clean: ArrayLike | None = None) -> Self:
        """Learn from noisy samples.

        Parameters
        ----------
        X : array_like of shape (n_samples, size, size)
            Noisy samples.
        y : array_like of str, shape (n_samples,)
            Word of each.
        clean : array_like of shape (n_samples, size, size), optional
            What the decoder should give, 0 to 1; unset: the samples less 1, clipped.

        Returns
        -------
        self
            Fitted.

        Raises
        ------
        ModelError
            If samples and labels do not fit each other or the network.
        """
        X = _checked(X)
        y = np.asarray(y, dtype=np.str_)
        if len(y) != len(X):
            raise ModelError(f"y has {len(y)} labels, X {len(X)} samples")
        target = np.clip(X - 1.0, 0.0, 1.0) if clean is None else _checked(clean)

        self.n_features_in_ = X.shape[1]
        self.classes_, classes = np.unique(y, return_inverse=True)
        with torch.random.fork_rng():
            torch.manual_seed(self.random_state)
            network = _laid_out(self._new_network(), torch.channels_last)
            self.loss_curve_ = self._learn(
                network, *map(torch.from_numpy, (X, target, classes))
            )
        self.network_ = _laid_out(network, torch.contiguous_format).eval()
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
            n_components = state["head.weight"].shape[1]
            width = state["encoder.layers.0.weight"].shape[0]
            autoencoder = cls(n_components, width=width)
            autoencoder.n_features_in_ = size
            autoencoder.classes_ = np.array(classes)
            network = autoencoder._new_network()
            network.load_state_dict(dict(state))
        except (KeyError, RuntimeError) as error:
            raise ModelError(f"weights do not fit the network: {error}") from error
        autoencoder.network_ = network.eval()
        return autoencoder

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Compute the latent.

        Parameters
        ----------
        X : array_like of shape (n_samples, size, size)
            Samples.

        Returns
        -------
        ndarray of float32, shape (n_samples, n_components)
            One at a time, so that a sample gives the same bits alone or in company.
        """
        check_is_fitted(self, "network_")
        return self._each(X, self.network_.encoder)

    def reconstruct(self, X: ArrayLike) -> NDArray[np.float32]:
        """Estimate the square of g1 behind each sample.

        Parameters
        ----------
        X : array_like of shape (n_samples, size, size)
            Samples.

        Returns
        -------
        ndarray of float32, shape (n_samples, size, size)
            Symmetric, 0 to 1.
        """
        check_is_fitted(self, "network_")
        return self._each(X, lambda sample: self.network_(sample)[1])

    def _new_network(self) -> DynamicsNetwork:
        return DynamicsNetwork(
            self.n_features_in_, self.n_components, len(self.classes_), self.width
        )

    def _learn(
        self, network: DynamicsNetwork, samples: Tensor, clean: Tensor, classes: Tensor
    ) -> list[float]:
        rng = torch.Generator().manual_seed(self.random_state)
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=self.learning_rate, weight_decay=1e-3
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=self.learning_rate,
            total_steps=self.n_epochs * -(-len(samples) // self.batch_size),
        )
        augment = _augmentation(self.classes_)
        losses = []
        network.train()
        for epoch in range(self.n_epochs):
            total = 0.0
            order = torch.randperm(len(samples), generator=rng)
            for chosen in torch.split(order, self.batch_size):
                batch = augment(samples[chosen], clean[chosen], classes[chosen], rng)
                loss = self._loss(network, *batch)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
                optimizer.step()
                schedule.step()
                total += loss.item() * len(chosen)
            losses.append(total / len(samples))
            if self.progress is not None:
                self.progress(epoch, losses[-1])
        return losses

    def _loss(
        self, network: DynamicsNetwork, samples: Tensor, clean: Tensor, classes: Tensor
    ) -> Tensor:
        _, estimate, scores = network(samples)
        of_map = nn.functional.mse_loss(estimate, clean)
        of_class = nn.functional.cross_entropy(scores, classes)
        return _MAP_WEIGHT * of_map + self.class_weight * of_class

    def _each(
        self, X: ArrayLike, function: Callable[[Tensor], Tensor]
    ) -> NDArray[np.float32]:
        X = _checked(X)
        if X.shape[1] != self.n_features_in_:
            raise ModelError(
                f"samples have {X.shape[1]} rows, the model {self.n_features_in_}"
            )
        # One small sample leaves nothing to share: threads would only wait.
        with torch_threads(1), torch.inference_mode():
            rows = [function(sample[None]) for sample in torch.from_numpy(X)]
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


def _laid_out(
    network: DynamicsNetwork, memory_format: torch.memory_format
) -> DynamicsNetwork:
    """Order the weights in memory: channels last trains twice as fast."""
    return network.to(memory_format=memory_format)  # type: ignore[call-overload, no-any-return] # missing in torch's stubs


def _checked(X: ArrayLike) -> NDArray[np.float32]:
    samples = np.ascontiguousarray(X, dtype=np.float32)
    if samples.ndim != 3 or samples.shape[1] != samples.shape[2]:
        raise ModelError(f"X must be (n_samples, size, size), got {samples.shape}")
    if len(samples) == 0 or samples.shape[1] % _SIZE_STEP:
        raise ModelError(
            f"X must hold samples whose size is a multiple of {_SIZE_STEP}, "
            f"got shape {samples.shape}"
        )
    return samples


def _augmentation(classes: NDArray[np.str_]) -> Augmentation:
    words = classes.tolist()
    backwards = [_REVERSED.get(word, word) for word in words]
    return Augmentation(
        torch.tensor([words.index(word) for word in backwards]),
        torch.tensor([word in _FLAT for word in words]),
    )
