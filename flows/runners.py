"""What the worker does with a job: analyse it here, or hand it on."""

import time
from contextlib import ExitStack, suppress
from typing import Any, Protocol

import numpy as np
from tiled.client.container import Container

from ainerd_bluesky.callbacks.job import Job
from ainerd_bluesky.config import BeamlineConfig
from ainerd_bluesky.errors import CatalogError, ConfigError, ModelError
from ainerd_bluesky.pipeline import (
    Acquisition,
    AnalysisSettings,
    Classifier,
    analyse,
    reduce_frames,
)
from ainerd_bluesky.xpcs.data.roi import QPartition
from flows.chain import open_beamline, process_run
from flows.models import ModelSource
from flows.retries import is_transient

__all__ = ["EmbeddedRunner", "Runner"]

_WARM_UP_SHAPE = (64, 16, 16)


class Runner(Protocol):
    """Takes one job at a time."""

    def prepare(self) -> None:
        """Get ready for work; raise `CatalogError` when nothing can be done now."""
        ...

    def run(self, job: Job) -> dict[str, Any]:
        """Do a job; return what is worth keeping in the outbox."""
        ...


class EmbeddedRunner:
    """Analyse runs in this process, with the model and the connection kept warm.

    Parameters
    ----------
    config : BeamlineConfig
        The beamline.
    """

    def __init__(self, config: BeamlineConfig, _reference: str) -> None:
        self._config = config
        self._models = ModelSource(config)
        self._connection = ExitStack()
        self._catalog: Container | None = None
        # What a registry does not have yet, it may have at the first job.
        with suppress(CatalogError, ConfigError, ModelError):
            self._warm_up(self._models.current(self._connect))

    def prepare(self) -> None:
        """Connect to the catalog, if that is not done."""
        self._connect()

    def run(self, job: Job) -> dict[str, Any]:
        """Bring the label of a run into the catalog."""
        began = time.monotonic()
        catalog = self._connect()
        try:
            model = self._models.current(self._connect)
            summary = process_run(
                job.run_uid, self._config, model=model, catalog=catalog
            )
        except Exception as error:
            if is_transient(error):
                self._connection.close()
                self._catalog = None
            raise
        return {
            "label": summary["label"],
            "confidence": summary["confidence"],
            "seconds": round(time.monotonic() - began, 3),
        }

    def _warm_up(self, model: Classifier) -> None:
        """Do everything once: a first time costs as much as many later ones."""
        frames = np.random.default_rng(0).poisson(4.0, _WARM_UP_SHAPE)
        partition = QPartition(
            roi_map=np.ones(frames.shape[1:], np.int32),
            q_values=np.array([0.01]),
            phi_values=np.array([np.nan]),
        )
        settings = AnalysisSettings()
        reduction = reduce_frames([frames], partition, frame_time=0.01, config=settings)
        analyse(reduction, Acquisition("warm-up"), model, config=settings)
        with suppress(CatalogError):
            self._connect()

    def _connect(self) -> Container:
        if self._catalog is None:
            self._catalog = self._connection.enter_context(open_beamline(self._config))
        return self._catalog
