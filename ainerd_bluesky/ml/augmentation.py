"""What real maps have and simulated ones lack, added while the network learns."""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Augmentation"]

_MAX_DRIFT = 0.05
_MAX_STRIPE = 0.03


@dataclass(frozen=True, eq=False)
class Augmentation:
    """Random change of a batch of samples.

    Parameters
    ----------
    reversed_class : Tensor of int64, shape (n_classes,)
        Class of each class seen backwards in time.
    is_flat : Tensor of bool, shape (n_classes,)
        Classes that are told by their level alone: they are never rescaled.
    """

    reversed_class: Tensor
    is_flat: Tensor

    def __call__(
        self, samples: Tensor, clean: Tensor, classes: Tensor, rng: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Change a batch.

        Parameters
        ----------
        samples, clean : Tensor of shape (n_samples, size, size)
            Noisy maps and what the decoder should make of them.
        classes : Tensor of int64, shape (n_samples,)
            Class of each.
        rng : torch.Generator
            Source of all chance.

        Returns
        -------
        tuple of Tensor
            Samples, clean maps and classes; time may run backwards.
        """
        is_reversed = _draw(len(samples), rng) < 0.5
        samples = torch.where(is_reversed, samples.flip(1, 2), samples)
        clean = torch.where(is_reversed, clean.flip(1, 2), clean)
        classes = torch.where(
            is_reversed.flatten(), self.reversed_class[classes], classes
        )
        samples = _hot_rows(_drift(_stripes(samples, rng), rng), rng)
        is_flat = self.is_flat[classes][:, None, None]
        return _rescaled(samples, is_flat, rng), clean, classes


def _draw(n_samples: int, rng: torch.Generator) -> Tensor:
    return torch.rand((n_samples, 1, 1), generator=rng)


def _stripes(samples: Tensor, rng: torch.Generator) -> Tensor:
    """Err in the normalisation: each row and column times a factor."""
    n_samples, size, _ = samples.shape
    factor = torch.randn((n_samples, size, 1), generator=rng)
    factor = 1.0 + _MAX_STRIPE * _draw(n_samples, rng) ** 2 * factor
    return samples * factor * factor.transpose(1, 2)


def _drift(samples: Tensor, rng: torch.Generator) -> Tensor:
    """Shift the baseline away from one, and tilt it along delay."""
    n_samples, size, _ = samples.shape
    shift = _MAX_DRIFT * (2 * _draw(n_samples, rng) - 0.8)
    slope = 0.5 * _MAX_DRIFT * (2 * _draw(n_samples, rng) - 1)
    row = torch.linspace(0.0, 1.0, size)
    delay = (row[:, None] - row[None, :]).abs()
    return (
        samples
        + shift * _switch(n_samples, 0.6, rng)
        + slope * delay * _switch(n_samples, 0.3, rng)
    )


def _hot_rows(samples: Tensor, rng: torch.Generator) -> Tensor:
    """Raise or lower the correlation of some frames with all others."""
    n_samples, size, _ = samples.shape
    is_hot = torch.rand((n_samples, size, 1), generator=rng) < 0.02
    height = 0.3 * torch.randn((n_samples, size, 1), generator=rng)
    bump = height * is_hot * _switch(n_samples, 0.15, rng)
    return samples + bump + bump.transpose(1, 2)


def _rescaled(samples: Tensor, is_flat: Tensor, rng: torch.Generator) -> Tensor:
    """Scale some maps as others do: to 0..1, or about another baseline."""
    n_samples = len(samples)
    low = samples.amin(dim=(1, 2), keepdim=True)
    high = samples.amax(dim=(1, 2), keepdim=True)
    unit = (samples - low) / (high - low + 1e-6)
    offset = 1.0 + _draw(n_samples, rng)
    gain = 0.3 + 4.0 * _draw(n_samples, rng)
    other = torch.where(
        _draw(n_samples, rng) < 0.5, unit, (samples - 1.0) * gain + offset
    )
    is_other = (_draw(n_samples, rng) < 0.12) & ~is_flat
    return torch.where(is_other, other, samples)


def _switch(n_samples: int, share: float, rng: torch.Generator) -> Tensor:
    return (_draw(n_samples, rng) < share).float()
