"""From frames to a label: what is done after each scan, but for reading and writing."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ainerd_bluesky.bench.cases import Series
from ainerd_bluesky.bench.job import Job
from ainerd_bluesky.engines import choose_engine
from ainerd_bluesky.ml import load_model
from ainerd_bluesky.pipeline import (
    Acquisition,
    Analysis,
    AnalysisSettings,
    analyse,
    reduce_frames,
)
from ainerd_bluesky.xpcs.data.roi import QPartition

__all__ = ["PIPELINE_JOBS"]

_FRAME_TIME = 0.01


def _label(series: Series) -> Analysis:
    """Correlate, fit, pass the gate and ask the shipped model."""
    case, settings = series.case, AnalysisSettings()
    partition = QPartition(
        case.roi_map.astype(np.int32),
        q_values=np.linspace(0.01, 0.1, case.n_q_bins),
        phi_values=np.full(case.n_q_bins, np.nan),
        static_map=case.static_bins[None].astype(np.int32),
    )
    reduction = reduce_frames(
        (block[:, None] for block in series.blocks()),
        partition,
        frame_time=_FRAME_TIME,
        config=settings,
        choose_engine=choose_engine,
    )
    return analyse(reduction, Acquisition("bench"), load_model(), config=settings)


def _describe(_series: Series, analysis: Analysis) -> Mapping[str, Any]:
    """Name the engines; tell the share of q-bins refused, which cost nothing."""
    engines = analysis.recipe["reduction"]["engines"]
    refused = 1 - float(np.mean(analysis.bins["quality_ok"]))
    return {"engine": " ".join(sorted(set(engines))), "checks": {"refused": refused}}


PIPELINE_JOBS = {"frames to label": Job(_label, describe=_describe)}
"""Beside what a peer takes to correlate alone."""
