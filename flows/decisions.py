"""The step after the result: the decision that led to a run goes into the catalog."""

import logging
from collections.abc import Mapping
from typing import Any

from tiled.client.container import Container

from ainerd_bluesky.config import BeamlineConfig
from ainerd_bluesky.errors import SelectionError
from flows.retries import is_transient
from tiled_adapters.decisions import DecisionsPublisher, decision_from_start

__all__ = ["keep_decision"]

logger = logging.getLogger(__name__)


def keep_decision(
    start: Mapping[str, Any], config: BeamlineConfig, catalog: Container
) -> str | None:
    """Copy the decision that led to a run from its start document into the catalog.

    Nothing that is wrong with a decision undoes the result of its run: it is logged,
    and `ainerd why` reads the start document. A lost connection is raised, since
    another try helps.

    Parameters
    ----------
    start : mapping
        Start document of the run.
    config : BeamlineConfig
        The beamline.
    catalog : Container
        Root of its catalog.

    Returns
    -------
    str or None
        Path of the decision below the container of decisions; None if there is none.
    """
    try:
        made = decision_from_start(start)
        if made is None:
            return None
        return DecisionsPublisher(catalog, config.catalog.processed).publish(made)
    except SelectionError as error:
        logger.warning("run %s: its decision is not kept: %s", start["uid"], error)
    except Exception as error:
        if is_transient(error):
            raise
        logger.exception("run %s: its decision is not kept", start["uid"])
    return None
