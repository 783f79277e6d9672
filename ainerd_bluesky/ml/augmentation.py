"""What real maps have and simulated ones lack, added before the network learns."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["disturbed", "random_offsets"]

Floats = NDArray[np.float32]

_MAX_STRIPE = 0.03
_HOT_MAPS, _HOT_FRAMES, _HOT_HEIGHT = 0.15, 0.02, 0.3
_LOST_SHARE = 0.05
_LOST = (0.3, 1.0)


def disturbed(samples: Floats, rng: np.random.Generator) -> Floats:
    """Err in the normalisation of frames, and let some frames be bright.

    Parameters
    ----------
    samples : ndarray of float32, shape (n_samples, size, size)
        Maps with the baseline 1.
    rng : numpy.random.Generator
        Source of all chance.

    Returns
    -------
    ndarray of float32, shape (n_samples, size, size)
        Symmetric; each row and column times a factor, few rows raised or lowered.
    """
    n_samples, size, _ = samples.shape
    strength = _MAX_STRIPE * rng.random((n_samples, 1, 1)) ** 2
    factor = 1 + strength * rng.standard_normal((n_samples, size, 1))
    is_hot = rng.random((n_samples, size, 1)) < _HOT_FRAMES
    is_hot &= rng.random((n_samples, 1, 1)) < _HOT_MAPS
    bump = _HOT_HEIGHT * rng.standard_normal((n_samples, size, 1)) * is_hot
    across = (0, 2, 1)
    changed = samples * factor * factor.transpose(across)
    return np.asarray(changed + bump + bump.transpose(across), np.float32)


def random_offsets(
    is_flat: Tensor,
    rng: torch.Generator,
    *,
    spread: float = 0.1,
    share: float = 0.7,
) -> Tensor:
    """Draw baselines that are off: a little in most maps, all of it in few.

    Parameters
    ----------
    is_flat : Tensor of bool, shape (n_samples,)
        Maps told by their level alone: they keep about the baseline they have.
    rng : torch.Generator
        Source of all chance.
    spread : float
        Standard deviation of the small offsets.
    share : float
        Share of the maps that have one.

    Returns
    -------
    Tensor of shape (n_samples, 1)
        To be added to each map.
    """
    n_samples = len(is_flat)

    def draw() -> Tensor:
        return torch.rand(n_samples, generator=rng)

    small = spread * torch.randn(n_samples, generator=rng)
    small = torch.where(is_flat, small.clamp(-0.05, 0.05), small)
    offset = small * (draw() < share)
    low, high = _LOST
    lost = -(low + (high - low) * draw())
    is_lost = (draw() < _LOST_SHARE) & ~is_flat
    return torch.where(is_lost, lost, offset)[:, None]
