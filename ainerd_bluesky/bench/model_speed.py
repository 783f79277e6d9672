"""How fast the fingerprint is made, and whether it is the same each time."""

import time

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.bench.model_rows import ModelRow
from ainerd_bluesky.ml import Model
from ainerd_bluesky.ml.autoencoder import torch_threads

__all__ = ["speed_rows"]

Map = NDArray[np.float32]

_N_REPEATS = 5
_N_SINGLE = 20


def speed_rows(model: Model, maps: list[Map]) -> list[ModelRow]:
    """Time the encoding on two threads, and compare its bits.

    Parameters
    ----------
    model : Model
        To measure.
    maps : list of ndarray of shape (n, n)
        Maps to encode.

    Returns
    -------
    list of ModelRow
        Milliseconds for a map, the fastest of several repeats.
    """
    model.embed(maps[:1])
    with torch_threads(2):
        batch = min(_milliseconds(model, maps) for _ in range(_N_REPEATS))
        single = min(_milliseconds(model, [each]) for each in maps[:_N_SINGLE])
    alone = np.concatenate([model.embed([each]) for each in maps])
    n_different = float((alone != model.embed(maps)).any(axis=1).sum())
    note = f"{len(maps[0])} frames; published weights: 35 to 55 ms"
    return [
        ModelRow("encoding in a batch, ms", batch / len(maps), 5.0, note=note),
        ModelRow("encoding of a single map, ms", single, 15.0),
        ModelRow("maps with other bits when alone", n_different, 0.0),
    ]


def _milliseconds(model: Model, maps: list[Map]) -> float:
    start = time.perf_counter()
    model.embed(maps)
    return 1e3 * (time.perf_counter() - start)
