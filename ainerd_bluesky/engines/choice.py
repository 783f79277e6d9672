"""Which engine multiplies the frames of a run."""

from importlib.util import find_spec
from pkgutil import resolve_name

import numpy as np

from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.xpcs.data.series import Counts
from ainerd_bluesky.xpcs.two_time.products import (
    Float32Products,
    FrameProducts,
    NumpyProducts,
)

__all__ = ["best_products", "choose_engine", "load_products"]

_MODULE = "ainerd_bluesky.engines"


def choose_engine(name: str, counts: Counts) -> FrameProducts:
    """Return the engine of a name, or the fastest one for some counts.

    Parameters
    ----------
    name : str
        As in `CorrelationConfig.engine`; `auto` leaves the choice.
    counts : ndarray of shape (n_frames, n_pixels)
        Photons.

    Returns
    -------
    FrameProducts
        See :func:`best_products` and :func:`load_products`.
    """
    if name != "auto":
        return load_products(name)
    highest = float(counts.max()) if counts.size > 0 else 0.0
    return best_products(highest, counts.dtype)


def best_products(counts_max: float, dtype: np.typing.DTypeLike) -> FrameProducts:
    """Choose the fastest engine of this machine.

    Parameters
    ----------
    counts_max : float
        Largest count.
    dtype : dtype
        Of the counts: bytes hold whole numbers only.

    Returns
    -------
    FrameProducts
        On a graphics processor where there is one; in bytes where these hold the
        counts; in single precision otherwise.
    """
    if find_spec("torch") is None:
        return NumpyProducts()
    if resolve_name(f"{_MODULE}.cuda:cuda_works")():
        return _engine("cuda:CudaProducts")
    is_whole = np.dtype(dtype).kind in "biu"
    is_small = counts_max <= resolve_name(f"{_MODULE}.int8:HIGHEST_COUNT")
    if is_whole and is_small and resolve_name(f"{_MODULE}.int8:int8_works")():
        return _engine("int8:Int8Products")
    return Float32Products()


def load_products(name: str) -> FrameProducts:
    """Return the engine of that name.

    Parameters
    ----------
    name : str
        `int8`, `fp32`, `cuda` or `numpy`, as in `CorrelationConfig.engine`.

    Returns
    -------
    FrameProducts
        Ready to run on this machine.

    Raises
    ------
    ConfigError
        If there is no such engine, or it cannot run here.
    """
    if name == "numpy":
        return NumpyProducts()
    if name == "fp32":
        return Float32Products()
    if name not in {"int8", "cuda"}:
        raise ConfigError(
            f"engine {name!r} multiplies no frames; choose int8, fp32, cuda or numpy"
        )
    if find_spec("torch") is None:
        raise ConfigError(
            f"engine {name!r} needs torch, which is not installed: "
            "pip install 'ainerd-bluesky[ml]', or set engine = 'auto'"
        )
    if not resolve_name(f"{_MODULE}.{name}:{name}_works")():
        raise ConfigError(_CURES[name])
    return _engine("int8:Int8Products" if name == "int8" else "cuda:CudaProducts")


_CURES = {
    "int8": "engine 'int8' gives wrong products, or none, with this torch: set "
    "engine = 'auto' or 'fp32'",
    "cuda": "engine 'cuda' needs a graphics processor that torch sees, with "
    "torch.backends.cuda.matmul.allow_tf32 off: set engine = 'auto'",
}


def _engine(place: str) -> FrameProducts:
    # By name, so that torch is loaded by those who use it only.
    products: FrameProducts = resolve_name(f"{_MODULE}.{place}")()
    return products
