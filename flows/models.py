"""The model that a beamline uses: loaded once, and again when another is promoted."""

import logging
from collections.abc import Callable

from tiled.client.container import Container

from ainerd_bluesky import ml
from ainerd_bluesky.config import BeamlineConfig
from ainerd_bluesky.pipeline import Classifier
from tiled_adapters.models import ModelRegistry, open_registry

__all__ = ["ModelSource"]

logger = logging.getLogger("flows.models")


class ModelSource:
    """Hands out the model that a beamline's configuration names.

    A model that does not come from a registry is loaded at once: a folder without one
    is a `ModelError`.

    Parameters
    ----------
    config : BeamlineConfig
        The beamline.
    """

    def __init__(self, config: BeamlineConfig) -> None:
        self._config = config
        self._name, self._version = config.classification.registered or ("", None)
        self._model: Classifier | None = None
        if not self._name:
            self._model = ml.load_model(config.classification.model)

    def current(self, connect: Callable[[], Container]) -> Classifier:
        """Return the model to use now.

        Of a registry it is the version in production at this moment, or the one that
        the configuration names; it is copied to `models` in the outbox folder once.

        Parameters
        ----------
        connect : callable
            Returns the root of the beamline's catalog; called only where a registry
            has to be asked.

        Returns
        -------
        Classifier
            The same object as long as nothing changes.
        """
        is_fixed = not self._name or self._version is not None
        if self._model is None or not is_fixed:
            registry = open_registry(connect(), self._config.catalog.models)
            self._model = self._follow(registry)
        return self._model

    def _follow(self, registry: ModelRegistry) -> Classifier:
        """Return the present model if it is still the right one, else load that."""
        chosen, model = registry.version(self._name, self._version), self._model
        wanted = (chosen.version, chosen.sha256)
        if model is not None and (model.version, model.sha256) == wanted:
            return model
        cache = self._config.flow.outbox / "models"
        folder = registry.fetch(chosen.name, chosen.version, cache)
        logger.info("model %s %s (%s)", chosen.name, chosen.version, chosen.stage)
        return ml.load_model(folder)
