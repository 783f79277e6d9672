"""The Prefect flow that fine-tunes a beamline's model, as a rule on a schedule."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow, get_run_logger, task
from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from ainerd_bluesky.config import BeamlineConfig
from ainerd_bluesky.errors import ConfigError
from flows.beamline import read_beamline
from flows.chain import open_beamline
from flows.retraining import Retrained, Retraining, retrain
from flows.retries import is_transient

__all__ = ["train_model"]

_STEP = 5.0
"""Per cent between two reports: each is a request to the Prefect server."""
_STAGES = {"read runs": (0, 20), "simulate": (20, 60), "train": (60, 95)}
"""Part of the whole, in per cent, that each stage takes about."""


def _may_get_better(_: object, __: object, state: State[Any]) -> bool:
    """Retry a lost connection; the training goes on where it was."""
    result = state.result(raise_on_failure=False)
    return isinstance(result, BaseException) and is_transient(result)


@task(
    name="fine-tune",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=[60, 600],
    retry_condition_fn=_may_get_better,
)
def fine_tune_step(
    config: BeamlineConfig, retraining: Retraining, folder: Path, *, promote: bool
) -> Retrained:
    """Read, learn, compare and register."""
    key = create_progress_artifact(
        0.0, key="ainerd-training-progress", description=f"Training on {config.name}"
    )
    with open_beamline(config) as root:
        return retrain(
            root,
            retraining,
            folder,
            promote=promote,
            who=f"flow train-model of {config.name}",
            progress=_reporter(key),  # type: ignore[arg-type] # no coroutine here
        )


@flow(name="train-model", flow_run_name="train-{beamline}")
def train_model(
    query: str = "all",
    beamline: str = "demo",
    *,
    promote: bool = False,
    recipe: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Fine-tune the model of a beamline on its own runs.

    Parameters
    ----------
    query : str
        Runs to learn from: all, or terms such as `sample=S1 since=90d`.
    beamline : str
        Name of a beamline in the profiles, or path of its file; its model has to come
        from the registry.
    promote : bool
        Put the candidate into production if it is better; else a person does.
    recipe : dict, optional
        Settings of `FineTuningConfig` that are to be others than usual.

    Returns
    -------
    dict
        Name, version and stage of the candidate, and the comparison; version and
        stage are None if nothing was learned.
    """
    config = read_beamline(beamline)
    retraining = Retraining.model_validate(
        {
            "query": query,
            "model": _followed(config),
            "results": config.catalog.processed,
            "models": config.catalog.models,
            "recipe": recipe or {},
        }
    )
    folder = config.flow.outbox / "training"
    done = fine_tune_step(config, retraining, folder, promote=promote)
    _report(done)
    version = done.version
    return {
        "model": retraining.model,
        "version": None if version is None else version.version,
        "stage": None if version is None else version.stage,
        "comparison": done.comparison.as_dict(),
    }


def _followed(config: BeamlineConfig) -> str:
    """Return the model that a beamline follows in the registry."""
    name, _ = config.classification.registered or ("", None)
    if not name:
        raise ConfigError(
            f"beamline {config.name!r} uses model {config.classification.model!r}, "
            'which is in no registry: set model = "registry:NAME"'
        )
    return name


def _reporter(artifact: UUID) -> Callable[[str, int, int], None]:
    """Return what brings progress to the page of the flow run, now and then."""
    shown = 0.0

    def report(stage: str, done: int, total: int) -> None:
        nonlocal shown
        first, last = _STAGES.get(stage, (95, 100))
        progress = first + (last - first) * done / total
        if progress >= shown + _STEP or progress >= 100 > shown:
            update_progress_artifact(artifact, progress)
            shown = progress

    return report


def _report(done: Retrained) -> None:
    """Leave figures and curves on the page of the flow run."""
    version, comparison = done.version, done.comparison
    title, place = "Nothing was learned", f"Nothing was registered: `{done.folder}`."
    if version is not None:
        title = f"{version.name} {version.version}: {comparison.outcome}"
        place = f"It is a {version.stage}, in `{done.folder}`."
    get_run_logger().info("%s. %s %s", title, comparison.sentence, place)
    lines = [f"# {title}", comparison.sentence, place]
    create_markdown_artifact(
        "\n\n".join(lines), key="ainerd-training", description=title
    )
    figures = (*comparison.own, *comparison.simulated)
    create_table_artifact(
        [figure.as_dict() for figure in figures],
        key="ainerd-training-figures",
        description=f"{title}, on held-out runs and simulated maps",
    )
    picture = base64.b64encode(done.curves.read_bytes()).decode()
    create_image_artifact(
        f"data:image/png;base64,{picture}",
        key="ainerd-training-curves",
        description=f"Losses and changes of {title}",
    )
