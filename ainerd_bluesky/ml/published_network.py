"""The network of AI-NERD, layer by layer, to hold a better one against."""

from math import isqrt

import torch
from torch import Tensor, nn

from ainerd_bluesky.errors import ModelError

__all__ = ["REDUCTION", "PublishedNetwork", "image_size_of"]

_N_CHANNELS = (16, 32, 64)
_POOL = 4
_DROPOUT = 0.05

REDUCTION: int = _POOL ** len(_N_CHANNELS)
"""Rows of an image that become one row before the latent."""


class PublishedNetwork(nn.Module):
    """Convolutional autoencoder of two-time maps, as published.

    Three times two convolutions and a maximum of 4 x 4 entries, a latent of
    rectified units, and back again with bilinear up-sampling.

    Parameters
    ----------
    size : int
        Rows and columns of an image, a multiple of 64; 256 in the paper.
    n_components : int
        Units of the latent; 64 in the paper.
    n_classes : int
        Units of a linear class head on the latent, which the paper has not; 0 leaves
        it out.

    Raises
    ------
    ModelError
        If the size is no multiple of 64.

    References
    ----------
    .. [1] J. P. Horwath et al., AI-NERD, Nat. Commun. 15, 5945 (2024),
       doi 10.1038/s41467-024-49381-z

    Examples
    --------
    >>> sum(weights.numel() for weights in PublishedNetwork().parameters())
    379665
    """

    def __init__(
        self, size: int = 256, n_components: int = 64, n_classes: int = 0
    ) -> None:
        super().__init__()
        if size < REDUCTION or size % REDUCTION:
            raise ModelError(f"size must be a multiple of {REDUCTION}, got {size}")
        n_rows = size // REDUCTION
        deepest = _N_CHANNELS[-1]
        n_flat = deepest * n_rows**2
        self.size = size
        self.encoder = nn.Sequential(*_encoder_layers(), nn.Flatten())
        self.latent = nn.Linear(n_flat, n_components)
        self.unfold = nn.Linear(n_components, n_flat)
        self.decoder = nn.Sequential(
            nn.Unflatten(1, (deepest, n_rows, n_rows)), *_decoder_layers()
        )
        self.head = nn.Linear(n_components, n_classes) if n_classes else None

    def encode(self, images: Tensor) -> Tensor:
        """Compute the latent.

        Parameters
        ----------
        images : Tensor of shape (n_images, size, size)
            From 0 to 1.

        Returns
        -------
        Tensor of shape (n_images, n_components)
            None below 0.
        """
        latent: Tensor = self.latent(self.encoder(images[:, None]))
        return latent.relu()

    def decode(self, Z: Tensor) -> Tensor:
        """Make images again from the latent.

        Parameters
        ----------
        Z : Tensor of shape (n_images, n_components)
            As `encode` gives them.

        Returns
        -------
        Tensor of shape (n_images, size, size)
            From 0 to 1.
        """
        images: Tensor = self.decoder(self.unfold(Z).relu())
        return images[:, 0]

    def rescale(self, factor: float) -> None:
        """Multiply the latent by a number, and make the same images of it.

        Parameters
        ----------
        factor : float
            Above 0: rectified units pass it on as it is.
        """
        with torch.no_grad():
            self.latent.weight.mul_(factor)
            self.latent.bias.mul_(factor)
            self.unfold.weight.div_(factor)

    def forward(self, images: Tensor) -> Tensor:
        """Encode and decode."""
        return self.decode(self.encode(images))


def image_size_of(latent_weight: Tensor) -> int:
    """Tell the size of a network's images by the weights of its latent.

    Parameters
    ----------
    latent_weight : Tensor of shape (n_components, n_flat)
        The tensor ``latent.weight`` of its state.

    Returns
    -------
    int
        Rows and columns.

    Examples
    --------
    >>> image_size_of(PublishedNetwork(128).latent.weight)
    128
    """
    return REDUCTION * isqrt(latent_weight.shape[1] // _N_CHANNELS[-1])


def _encoder_layers() -> list[nn.Module]:
    layers: list[nn.Module] = []
    n_in = 1
    for n_out in _N_CHANNELS:
        layers += [*_convolved(n_in, n_out), *_convolved(n_out, n_out)]
        layers.append(nn.MaxPool2d(_POOL))
        n_in = n_out
    return layers


def _decoder_layers() -> list[nn.Module]:
    # The mirror image but for its last block, which ends at 32 channels.
    layers: list[nn.Module] = []
    n_in = _N_CHANNELS[-1]
    for n_out in (64, 64, 32):
        layers += [*_convolved(n_in, n_out), *_convolved(n_out, n_out)]
        layers.append(nn.Upsample(scale_factor=_POOL, mode="bilinear"))
        n_in = n_out
    return [*layers, nn.Conv2d(n_in, 1, 3, padding=1), nn.Sigmoid()]


def _convolved(n_in: int, n_out: int) -> list[nn.Module]:
    return [nn.Conv2d(n_in, n_out, 3, padding=1), nn.Dropout(_DROPOUT), nn.ReLU()]
