"""Automatic classification of XPCS dynamics for Bluesky, Tiled and Prefect."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ainerd_bluesky.installation import install

__all__ = ["__version__", "install"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import `install` when it is first asked for: it needs bluesky."""
    if name == "install":
        return import_module("ainerd_bluesky.installation").install
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
