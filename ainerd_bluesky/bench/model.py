"""What a model is worth: every figure that was promised, measured in one run."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ainerd_bluesky.bench.machine import describe_machine
from ainerd_bluesky.bench.model_measured import measured_rows
from ainerd_bluesky.bench.model_published import load_published, side_by_side
from ainerd_bluesky.bench.model_rows import ModelRow
from ainerd_bluesky.bench.model_simulated import (
    draw_long_maps,
    novelty_row,
    simulated_rows,
)
from ainerd_bluesky.bench.model_speed import speed_rows
from ainerd_bluesky.bench.model_steadiness import draw_clear_maps, steadiness_rows
from ainerd_bluesky.json_values import as_json
from ainerd_bluesky.ml import TrainingConfig, load_model
from ainerd_bluesky.ml.gate_figures import measure_gate
from ainerd_bluesky.ml.series_data import read_series_set

__all__ = ["ModelBenchmark", "Progress", "bench_model"]

Progress = Callable[[str, int, int], None]
"""Called with what is going on, the steps done and the steps in all."""

_SEED = 20260101
_SERIES = Path("csx_series", "train.npz")
_N_MAPS, _N_QUICK_MAPS = 1800, 180
_N_CLEAR_MAPS, _N_QUICK_CLEAR_MAPS = 160, 24
_QUICK_TRAINING = {"n_maps": 1800, "n_held_out": 180, "n_epochs": 8}


@dataclass(frozen=True)
class ModelBenchmark:
    """Figures of one model.

    Parameters
    ----------
    rows : list of ModelRow
        In the order of the table.
    card : dict
        Of the model that was measured.
    machine : dict
        What it was measured on.
    """

    rows: list[ModelRow]
    card: dict[str, Any]
    machine: dict[str, Any] = field(default_factory=describe_machine)

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain JSON types.

        Returns
        -------
        dict
            ``rows`` with their verdicts, ``model`` and ``machine``.
        """
        named = ("name", "version", "sha256", "training")
        rows = [asdict(row) | {"is_met": row.is_met} for row in self.rows]
        content = {
            "rows": rows,
            "model": {key: self.card[key] for key in named},
            "machine": self.machine,
        }
        plain: dict[str, Any] = as_json(content)
        return plain


def bench_model(
    model: str | Path = "shipped",
    *,
    data: Path,
    published: str | Path | None = None,
    quick: bool = False,
    train_novelty: bool = False,
    progress: Progress,
) -> ModelBenchmark:
    """Measure a model on measured and on simulated maps.

    Parameters
    ----------
    model : str or Path
        ``"shipped"``, or the folder of one.
    data : Path
        Folder of measurements; figures that need it are left out where it is missing.
    published : str or Path, optional
        Folder of a baseline of the published architecture, to be measured beside it.
    quick : bool
        A tenth of the maps: to see that it runs.
    train_novelty : bool
        Train a model without two of the words, and measure how novel it finds them.
    progress : callable
        Called as the work goes on.

    Returns
    -------
    ModelBenchmark
        Same figures for the same model on the same machine, times excepted.
    """
    loaded = load_model(model)
    baseline = None if published is None else load_published(published)
    n_maps, n_clear = (
        (_N_QUICK_MAPS, _N_QUICK_CLEAR_MAPS) if quick else (_N_MAPS, _N_CLEAR_MAPS)
    )
    progress("measured maps", 0, 4)
    rows = side_by_side(partial(measured_rows, folder=data), loaded, baseline)
    progress("simulated maps", 1, 4)
    drawn = draw_long_maps(n_maps, _SEED)
    rows += side_by_side(partial(simulated_rows, map_set=drawn), loaded, baseline)
    if train_novelty:
        config = TrainingConfig(seed=1, **(_QUICK_TRAINING if quick else {}))
        rows.append(novelty_row(config, progress))
    progress("changed maps", 2, 4)
    clear = draw_clear_maps(n_clear, _SEED)
    rows += side_by_side(partial(steadiness_rows, maps=clear), loaded, baseline)
    progress("series and speed", 3, 4)
    rows += _gate_rows(data / _SERIES)
    rows += side_by_side(partial(speed_rows, maps=clear), loaded, baseline)
    progress("done", 4, 4)
    return ModelBenchmark(rows, loaded.card)


def _gate_rows(path: Path) -> list[ModelRow]:
    """Ask the gate for detector series, which is no part of the model."""
    subjects = (
        "series gate: recall",
        "series gate: false discovery",
        "series gate: AUC",
    )
    if not path.is_file():
        return [ModelRow(subject, note=f"no file {path}") for subject in subjects]
    measured = measure_gate(read_series_set(path))
    own, peer = measured["by_file"], measured["published"]
    recall, discovery, area = subjects
    return [
        _gate_row(recall, own, peer, "recall", 0.985),
        _gate_row(discovery, own, peer, "false_discovery", 0.03),
        _gate_row(area, own, peer, "auc", 0.97),
    ]


def _gate_row(
    subject: str,
    own: dict[str, Any],
    peer: dict[str, float],
    figure: str,
    target: float,
) -> ModelRow:
    value = float(np.mean(own[figure]))
    return ModelRow(
        subject,
        value,
        target,
        more_is_better=figure != "false_discovery",
        baselines={"published": peer[figure]},
        note="files held out",
    )
