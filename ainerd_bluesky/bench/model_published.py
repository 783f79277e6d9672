"""The published architecture as one more column of the table of figures."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ainerd_bluesky.bench.model_rows import ModelRow
from ainerd_bluesky.errors import ModelError
from ainerd_bluesky.ml import Model, load_model
from ainerd_bluesky.ml.training import PublishedConfig

__all__ = ["load_published", "side_by_side"]

_COLUMN = "AI-NERD"


def load_published(folder: str | Path) -> Model:
    """Load a baseline of the published architecture.

    Parameters
    ----------
    folder : str or Path
        As ``ainerd model train --preset published`` writes it.

    Returns
    -------
    Model
        The baseline.

    Raises
    ------
    ModelError
        If the folder holds no model, or one of another architecture.
    """
    model = load_model(folder)
    if model.card.get("preset") != PublishedConfig.preset:
        raise ModelError(
            f"{folder} holds {model.name} {model.version}, which is no baseline: train "
            f"one with `ainerd model train --preset {PublishedConfig.preset}`"
        )
    return model


def side_by_side(
    measure: Callable[[Model], list[ModelRow]], model: Model, published: Model | None
) -> list[ModelRow]:
    """Measure a model, and the published one for the column beside it.

    Parameters
    ----------
    measure : callable
        Returns the same rows in the same order for every model.
    model : Model
        Whose figures the rows are.
    published : Model or None
        Whose figures go beside them; None for nothing.

    Returns
    -------
    list of ModelRow
        Those of `model`. What could not be measured is left out beside it.
    """
    rows = measure(model)
    if published is None:
        return rows
    return [
        row
        if math.isnan(other.value)
        else replace(row, baselines={**row.baselines, _COLUMN: other.value})
        for row, other in zip(rows, measure(published), strict=True)
    ]
