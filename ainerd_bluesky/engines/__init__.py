"""Engines that multiply frames, and the choice between them.

Importing this package does not load torch; choosing an engine that needs it does.
"""

from ainerd_bluesky.engines.choice import (
    best_products,
    choose_engine,
    load_products,
)

__all__ = ["best_products", "choose_engine", "load_products"]
