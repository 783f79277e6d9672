"""Compiled kernels, where this installation has a compiler."""

import logging
import pkgutil
from functools import cache
from importlib.util import find_spec
from types import ModuleType

__all__ = ["compiled_kernels"]

_LOG = logging.getLogger(__name__)

# By name, so that `ainerd_bluesky.xpcs` can be imported without numba.
_KERNELS = "ainerd_bluesky.xpcs.machine.compiled"


@cache
def compiled_kernels() -> ModuleType | None:
    """Open the kernels that numba compiles, the first time they are needed.

    Returns
    -------
    module or None
        `ainerd_bluesky.xpcs.machine.compiled`; None where numba is not installed or
        cannot work, which makes the same results take longer.
    """
    if find_spec("numba") is None:
        return None
    try:
        return pkgutil.resolve_name(_KERNELS)  # type: ignore[no-any-return]
    except (ImportError, RuntimeError) as error:
        # A numba too old for this numpy, or no folder that it may keep its code in.
        _LOG.warning("numba is not used: %s", error)
        return None
