"""The network: a sample and what it shows -> fingerprint, map and class scores."""

import torch
from torch import Tensor, nn

from ainerd_bluesky.ml.decay import DecaySpace
from ainerd_bluesky.ml.map_features import N_LEVELS

__all__ = ["STRUCTURE", "DynamicsNetwork"]

DECAY_SCALE = 0.15
"""Weight of the decay in distances of fingerprints, where noise has length one."""

SHAPE_SCALE = 0.004
"""Weight of the shape in distances of fingerprints, beside a kind of length one."""

STRUCTURE = -5
"""Column of `DynamicsNetwork.prepare` that tells signal from noise."""

_N_RATIOS = 2
_DROPOUT = 0.15
_LEAST_SPREAD = 0.005
# Ratios run from 0 to 1 where features have a spread of about 1.
_RATIO_SCALE = 3.0
_LOWEST, _HIGHEST = -0.5, 1.5
# Below this a contrast is no contrast: the map is flat, or has lost its baseline.
_LEAST_CONTRAST = 0.02


class DynamicsNetwork(nn.Module):
    """Fingerprint in three parts that no label shapes, and a class head of its own.

    The kind of dynamics is a point on a sphere, the same for scenes that differ in
    rate and noise only; the decay tells how correlation is lost; the
    shape is the map in the directions in which clean maps differ most, and gives the
    map back. The class head starts from the features again, so that words change
    nothing in the latent.

    Parameters
    ----------
    n_features : int
        Numbers that describe a sample, the last five of them levels.
    size : int
        Rows and columns of a sample.
    n_kind, n_shape : int
        Sizes of two parts of the fingerprint.
    n_classes : int
        Number of classes.
    width : int
        Units of the hidden layers.
    n_decay : int
        Size of the third part.
    """

    def __init__(  # noqa: PLR0913 - one size for each part
        self,
        n_features: int,
        size: int,
        n_kind: int,
        n_shape: int,
        n_classes: int,
        width: int = 384,
        n_decay: int = 6,
    ) -> None:
        super().__init__()
        n_inputs = n_features - N_LEVELS + 3 + _N_RATIOS
        self.norm = nn.BatchNorm1d(n_inputs, affine=False)
        self.kind = nn.Sequential(
            *_hidden(n_inputs, width),
            *_hidden(width, width),
            nn.Linear(width, n_kind),
            nn.BatchNorm1d(n_kind, affine=False),
        )
        self.decay = DecaySpace(n_decay, size)
        self.shape = _ShapeSpace(n_shape, size)
        self.head = nn.Sequential(
            *_hidden(n_inputs, width, _DROPOUT),
            *_hidden(width, width, _DROPOUT),
            nn.Linear(width, n_classes),
        )

    def prepare(self, features: Tensor, offset: Tensor | float = 0.0) -> Tensor:
        """Turn features into inputs, as if the baseline had been another.

        Parameters
        ----------
        features : Tensor of shape (n_samples, n_features)
            As `map_features` gives them.
        offset : Tensor of shape (n_samples, 1) or float
            Added to the map.

        Returns
        -------
        Tensor of shape (n_samples, n_inputs)
            Standardised.
        """
        means, levels = features[:, :-N_LEVELS], features[:, -N_LEVELS:]
        structure, flatness, mean, short, long = torch.split(levels, 1, dim=1)
        mean, short, long = mean + offset, short + offset, long + offset
        contrast = short.clamp(min=_LEAST_CONTRAST)
        is_known = torch.sigmoid((short - _LEAST_CONTRAST) / (_LEAST_CONTRAST / 2))
        ratios = torch.cat([mean, long], dim=1) / contrast
        ratios = _RATIO_SCALE * ratios.clamp(_LOWEST, _HIGHEST) * is_known
        level = torch.tanh(2 * mean) * flatness
        inputs = torch.cat([means, structure, flatness, level, ratios], dim=1)
        prepared: Tensor = self.norm(inputs)
        return prepared

    @property
    def of_traits(self) -> nn.Module:
        """What makes the traits: as long as it stays, so does what is known."""
        return self.head[:2]

    def traits(self, inputs: Tensor) -> Tensor:
        """Compute what the class head looks at first, and what passes of it.

        Parameters
        ----------
        inputs : Tensor of shape (n_samples, n_inputs)
            What samples show, see :meth:`prepare`.

        Returns
        -------
        Tensor of shape (n_samples, 2 * width)
            Both of length one. Words decided what is worth looking at, yet none is
            told here: what is like nothing known stays so.
        """
        seen = self.of_traits(inputs)
        both = [nn.functional.normalize(each, dim=1) for each in (seen, seen.relu())]
        return torch.cat(both, dim=1)

    def fingerprint(self, samples: Tensor, inputs: Tensor) -> Tensor:
        """Compute kind, decay and shape side by side.

        Parameters
        ----------
        samples : Tensor of shape (n_samples, size, size)
            Maps.
        inputs : Tensor of shape (n_samples, n_inputs)
            What they show, see :meth:`prepare`.

        Returns
        -------
        Tensor of shape (n_samples, n_kind + n_decay + n_shape)
            The kind has length one.
        """
        kind = nn.functional.normalize(self.kind(inputs), dim=1)
        decay, shape = self.decay(samples), self.shape(samples)
        return torch.cat([kind, DECAY_SCALE * decay, SHAPE_SCALE * shape], dim=1)


class _ShapeSpace(nn.Module):
    """Maps of mean 0 and spread 1, as a sum of few fixed ones."""

    mean: Tensor
    basis: Tensor
    place: Tensor

    def __init__(self, n_shape: int, size: int) -> None:
        super().__init__()
        self.size = size
        row, column = torch.triu_indices(size, size)
        place = torch.empty((size, size), dtype=torch.int64)
        place[row, column] = place[column, row] = torch.arange(len(row))
        self.register_buffer("place", place.flatten(), persistent=False)
        self.register_buffer("mean", torch.zeros(len(row)))
        self.register_buffer("basis", torch.zeros((len(row), n_shape)))

    def fit(self, clean: Tensor) -> None:
        """Take the directions in which clean maps differ most."""
        maps = self._standardised(clean)
        self.mean.copy_(maps.mean(dim=0))
        rest = (maps - self.mean).double()
        _, vectors = torch.linalg.eigh(rest.T @ rest)
        self.basis.copy_(vectors[:, -self.basis.shape[1] :].flip(1))

    def forward(self, samples: Tensor) -> Tensor:
        return (self._standardised(samples) - self.mean) @ self.basis

    def rebuild(self, shapes: Tensor) -> Tensor:
        """Make maps of mean 0 and spread 1 from shapes."""
        triangle = self.mean + shapes @ self.basis.T
        return triangle[:, self.place].view(-1, self.size, self.size)

    def _standardised(self, samples: Tensor) -> Tensor:
        row, column = torch.triu_indices(self.size, self.size)
        triangle = samples[:, row, column]
        rest = triangle - triangle.mean(dim=1, keepdim=True)
        # A map without structure stays small, whatever the noise in it.
        return rest / (rest.std(dim=1, keepdim=True) + _LEAST_SPREAD)


def _hidden(n_in: int, n_out: int, dropout: float = 0.0) -> list[nn.Module]:
    layers = [nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out), nn.ReLU()]
    return [*layers, nn.Dropout(dropout)] if dropout else layers
