"""The convolutional network: sample -> latent -> clean map and class scores."""

import torch
from torch import Tensor, nn

__all__ = ["DynamicsNetwork"]

_STRIDE = 16
# Standardised values beyond this are outliers: hot pixels, single bright frames.
_MAX_DEVIATIONS = 6.0


class DynamicsNetwork(nn.Module):
    """Denoising autoencoder with a linear class head on its latent.

    Parameters
    ----------
    size : int
        Rows and columns of a sample, a multiple of 16.
    n_components : int
        Size of the latent.
    n_classes : int
        Number of classes.
    width : int
        Channels of the first layer; the others are multiples of it.
    """

    def __init__(
        self, size: int, n_components: int, n_classes: int, width: int = 24
    ) -> None:
        super().__init__()
        self.encoder = _Encoder(size, n_components, width)
        self.decoder = _Decoder(size, n_components, width)
        self.head = nn.Linear(n_components, n_classes)

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute latent, clean map and class scores.

        Parameters
        ----------
        samples : Tensor of shape (n_samples, size, size)
            Maps with the baseline 1.

        Returns
        -------
        embedding : Tensor of shape (n_samples, n_components)
            Latent.
        clean : Tensor of shape (n_samples, size, size)
            Estimate of g1 squared, symmetric, 0 to 1.
        scores : Tensor of shape (n_samples, n_classes)
            Logarithms of class probabilities up to a constant.
        """
        embedding = self.encoder(samples)
        return embedding, self.decoder(embedding), self.head(embedding)


class _Encoder(nn.Module):
    def __init__(self, size: int, n_components: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution(2, width, kernel=5, stride=2),
            *_convolution(width, 2 * width, stride=2),
            *_convolution(2 * width, 2 * width),
            *_convolution(2 * width, 3 * width, stride=2),
            *_convolution(3 * width, 4 * width, stride=2),
            nn.Flatten(),
        )
        n_features = 4 * width * (size // _STRIDE) ** 2
        # Two more: mean and spread of the map, which standardising takes away.
        self.latent = nn.Linear(n_features + 2, n_components)
        self.norm = nn.BatchNorm1d(n_components, affine=False)

    def forward(self, samples: Tensor) -> Tensor:
        channels, level = _prepare(samples)
        features = torch.cat([self.layers(channels), level], dim=1)
        embedding: Tensor = self.norm(self.latent(features))
        return embedding


class _Decoder(nn.Module):
    def __init__(self, size: int, n_components: int, width: int) -> None:
        super().__init__()
        edge = size // _STRIDE
        self.latent = nn.Linear(n_components, 3 * width * edge**2)
        self.layers = nn.Sequential(
            nn.Unflatten(1, (3 * width, edge, edge)),
            nn.ReLU(),
            *_growing(3 * width, 2 * width),
            *_growing(2 * width, width),
            *_growing(width, width),
            nn.Conv2d(width, 4, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def forward(self, embedding: Tensor) -> Tensor:
        scores = self.layers(self.latent(embedding)).squeeze(1)
        return torch.sigmoid(0.5 * (scores + scores.transpose(1, 2)))


def _prepare(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Split a map into its shape, its values above the baseline, and two numbers."""
    mean = samples.mean(dim=(1, 2), keepdim=True)
    spread = samples.std(dim=(1, 2), keepdim=True) + 1e-4
    shape = ((samples - mean) / spread).clamp(-_MAX_DEVIATIONS, _MAX_DEVIATIONS)
    excess = torch.asinh(samples - 1.0)
    level = torch.cat([torch.asinh(4.0 * (mean - 1.0)), torch.log(spread)], dim=1)
    return torch.stack([shape, excess], dim=1), level.squeeze(2)


def _convolution(
    n_in: int, n_out: int, *, kernel: int = 3, stride: int = 1
) -> list[nn.Module]:
    convolution = nn.Conv2d(
        n_in, n_out, kernel, stride=stride, padding=kernel // 2, bias=False
    )
    return [convolution, nn.BatchNorm2d(n_out), nn.ReLU()]


def _growing(n_in: int, n_out: int) -> list[nn.Module]:
    return [nn.Upsample(scale_factor=2), *_convolution(n_in, n_out)]
