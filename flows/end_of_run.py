"""The Prefect flow of a finished run: read, reduce, classify, publish."""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

from prefect import flow, get_run_logger, runtime, tags, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_UI_URL
from prefect.tasks import Task
from tiled.client.container import Container

from ainerd_bluesky.callbacks.job import Job
from ainerd_bluesky.config import BeamlineConfig
from ainerd_bluesky.ml.words import ModelWords
from ainerd_bluesky.pipeline import Analysis, Classifier, Reduction
from flows import chain
from flows.beamline import read_beamline
from flows.decisions import keep_decision
from flows.models import ModelSource
from flows.retries import is_transient

__all__ = ["PrefectRunner", "end_of_run"]

P = ParamSpec("P")
R = TypeVar("R")


def _may_get_better(_: object, __: object, state: State[Any]) -> bool:
    """Retry a lost connection or a run that is still written, nothing else."""
    result = state.result(raise_on_failure=False)
    return isinstance(result, BaseException) and is_transient(result)


def _name_of_run() -> str:
    run_uid = str(runtime.flow_run.parameters["run_uid"])
    return f"end-of-run-{run_uid[:8]}"


def _step(name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    return task(
        name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        # The last try comes when a late detector file is no longer waited for.
        retries=4,
        retry_delay_seconds=[1, 3, 10, 60],
        retry_condition_fn=_may_get_better,
    )


@_step("read")
def read_step(
    run_uid: str, config: BeamlineConfig, catalog: Container
) -> chain.RunReading:
    """Find out what the run has to offer."""
    return chain.read(run_uid, config, catalog)


@_step("reduce")
def reduce_step(reading: chain.RunReading, config: BeamlineConfig) -> Reduction:
    """Make correlation functions of the frames."""
    return chain.reduce(reading, config)


@_step("classify")
def classify_step(
    reduction: Reduction,
    reading: chain.RunReading,
    model: Classifier,
    config: BeamlineConfig,
    words: ModelWords | None,
) -> Analysis:
    """Name the dynamics."""
    return chain.classify(reduction, reading, model, config, words)


@_step("publish")
def publish_step(analysis: Analysis, config: BeamlineConfig, catalog: Container) -> str:
    """Write the result to the catalog."""
    return chain.publish(analysis, config, catalog)


@_step("keep decision")
def keep_decision_step(
    reading: chain.RunReading, config: BeamlineConfig, catalog: Container
) -> str | None:
    """Copy the decision of a selector, where one led to the run."""
    return keep_decision(reading.start, config, catalog)


@flow(name="end-of-run", flow_run_name=_name_of_run, timeout_seconds=1800)
def end_of_run(run_uid: str, beamline: str = "demo") -> dict[str, Any]:
    """Bring the label of a finished run into Tiled.

    Parameters
    ----------
    run_uid : str
        Uid of the run.
    beamline : str
        Name of a beamline in the profiles, or path of its file.

    Returns
    -------
    dict
        Summary of the result.
    """
    config = read_beamline(beamline)
    with chain.open_beamline(config) as catalog:
        model = _models(config).current(lambda: catalog)
        reading = read_step(run_uid, config, catalog)
        reduction = reduce_step(reading, config)
        words = chain.known_words(model, config, catalog)
        analysis = _with_link(classify_step(reduction, reading, model, config, words))
        key = publish_step(analysis, config, catalog)
        if "decision" in reading.start:
            keep_decision_step(reading, config, catalog)
    _report(analysis, key, config)
    return analysis.summary


class PrefectRunner:
    """Analyse runs in this process, each recorded as a flow run.

    Parameters
    ----------
    config : BeamlineConfig
        The beamline.
    reference : str
        What the configuration was read from; the flow reads it again.
    """

    def __init__(self, config: BeamlineConfig, reference: str) -> None:
        self._config = config
        self._reference = reference
        _models(config)

    def prepare(self) -> None:
        """See that the catalog answers; raise `CatalogError` if it does not."""
        with chain.open_beamline(self._config):
            pass

    def run(self, job: Job) -> dict[str, Any]:
        """Run the flow of a job."""
        named = end_of_run.with_options(
            flow_run_name=f"scan-{job.payload.get('scan_id')}-{job.run_uid[:8]}"
        )
        with tags(f"uid:{job.run_uid}"):
            summary = named(job.run_uid, self._reference)
        return {"label": summary["label"], "confidence": summary["confidence"]}


@functools.cache
def _models(config: BeamlineConfig) -> ModelSource:
    return ModelSource(config)


def _with_link(analysis: Analysis) -> Analysis:
    """Say in the result which flow run made it."""
    flow_run_id = str(runtime.flow_run.id)
    link = {"id": flow_run_id}
    if PREFECT_UI_URL.value():
        link["url"] = f"{PREFECT_UI_URL.value()}/runs/flow-run/{flow_run_id}"
    return replace(analysis, provenance={**analysis.provenance, "flow_run": link})


def _report(analysis: Analysis, key: str, config: BeamlineConfig) -> None:
    """Leave what a person looks for on the page of the flow run."""
    summary = analysis.summary
    uid = analysis.run_uid
    title = f"{summary['label']} ({summary['confidence']:.2f})"
    get_run_logger().info("run %s is %s", uid[:8], title)

    lines = [
        f"# {title}",
        f"Sample {summary.get('sample') or 'unnamed'}, run `{uid}`, in Tiled at "
        f"`{config.catalog.processed}/{uid}/{key}`.",
        *(f"- {reason}" for reason in summary["quality"]["reasons"]),
    ]
    create_markdown_artifact(
        "\n\n".join(lines), key=_artifact_key("label", uid), description=title
    )
    if summary["probabilities"]:
        ranked = sorted(summary["probabilities"].items(), key=lambda item: -item[1])
        create_table_artifact(
            [{"label": name, "probability": round(p, 4)} for name, p in ranked],
            key=_artifact_key("probabilities", uid),
            description=f"Probabilities of run {uid[:8]}",
        )


def _artifact_key(kind: str, run_uid: str) -> str:
    """Return a key of lower-case letters, digits and dashes, as Prefect wants it."""
    safe = "".join(c if c.isalnum() else "-" for c in run_uid.lower())
    return f"ainerd-{kind}-{safe}"
