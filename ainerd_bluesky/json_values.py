"""Values as JSON has them: what stands in documents, recipes and metadata."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["as_json"]


def as_json(value: Any) -> Any:  # noqa: ANN401 - JSON is any of its types
    """Return a value as plain JSON types; not-a-number and infinity become None."""
    match value:
        case Mapping():
            return {str(key): as_json(item) for key, item in value.items()}
        case np.ndarray() | np.generic():
            return as_json(value.tolist())
        case list() | tuple() | set() | frozenset():
            return [as_json(item) for item in value]
        case bool() | int() | str() | None:
            return value
        case float():
            return value if math.isfinite(value) else None
        case _:
            return str(value)
