"""From a query to a candidate in the registry: fine-tune the model in production."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from tiled.client.container import Container

from ainerd_bluesky.errors import ConfigError, StateInUseError
from ainerd_bluesky.files import lock_file
from ainerd_bluesky.ml.bundle import load_model
from ainerd_bluesky.ml.candidate import FineTuned, save_candidate
from ainerd_bluesky.ml.checkpoints import Checkpoints
from ainerd_bluesky.ml.comparison import Comparison
from ainerd_bluesky.ml.fine_tuning import fine_tune
from ainerd_bluesky.ml.halves import part_of, require_runs
from ainerd_bluesky.ml.training_picture import draw_curves
from ainerd_bluesky.ml.tuning import FineTuningConfig
from tiled_adapters.client import XPCSResultsCatalog
from tiled_adapters.models import ModelRegistry, open_registry
from tiled_adapters.own_maps import (
    MEGABYTE,
    OwnMapsRead,
    RunResult,
    read_own_maps,
    runs_with_maps,
)
from tiled_adapters.run_query import EVERYTHING, find_runs
from tiled_adapters.stages import ModelVersion

__all__ = ["Retrained", "Retraining", "retrain"]

Progress = Callable[[str, int, int], None]
"""Called with the stage's name, the steps done and the steps in all."""

_OWN = "-own."
_UNFINISHED, _PLAN, _LOCK = "unfinished", "plan.json", ".lock"
_CURVES, _RUNS = "curves.png", "runs.txt"
_NOTHING_LEARNED = "nothing-learned"


class Retraining(BaseModel):
    """What to train, on which runs, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: str = EVERYTHING
    """Runs to learn from, see `tiled_adapters.run_query.find_runs`."""
    model: str = "ainerd-xpcs"
    """Name of the model whose version in production is fine-tuned."""
    results: str = "processed/xpcs"
    """Container of results."""
    models: str = "processed/models"
    """Container of models."""
    max_megabytes: Annotated[int, Field(ge=1)] = 512
    """Memory for samples of maps, and as much for maps that are being read."""
    recipe: FineTuningConfig = FineTuningConfig()
    """How to learn."""


@dataclass(frozen=True, eq=False)
class Retrained:
    """What came of a training.

    Parameters
    ----------
    version : ModelVersion or None
        As it stands in the registry; None if nothing was learned.
    comparison : Comparison
        With the model that was in production.
    folder : Path
        Holds the curves and the list of runs; card and weights of a version.
    was_resumed : bool
        Whether a training that had been killed was brought to its end.
    maps : OwnMapsRead
        What was read.
    """

    version: ModelVersion | None
    comparison: Comparison
    folder: Path
    was_resumed: bool
    maps: OwnMapsRead

    @property
    def curves(self) -> Path:
        """Picture of the curves."""
        return self.folder / _CURVES


@dataclass(frozen=True)
class _Plan:
    """What an unfinished training is about: its runs stay the same when it goes on."""

    recipe: str
    runs: tuple[RunResult, ...]
    is_begun: bool


def retrain(
    root: Container,
    retraining: Retraining,
    folder: str | Path,
    *,
    promote: bool = False,
    who: str | None = None,
    progress: Progress | None = None,
) -> Retrained:
    """Fine-tune the model in production on published runs and register the result.

    Where no epoch helped the watched runs, and the weights are those in production,
    nothing is registered: another version would only part old fingerprints from new.
    A training that was killed goes on where the same folder holds it and recipe and
    model in production are the same; of any other nothing is kept.

    Parameters
    ----------
    root : Container
        Root of a catalog with results and models.
    retraining : Retraining
        What to train, and how.
    folder : str or Path
        For this and later trainings; made if it is missing.
    promote : bool
        Put the candidate into production if it is better.
    who : str, optional
        Who registers it; unset: the login name.
    progress : callable, optional
        Called with stage, steps done and steps in all.

    Returns
    -------
    Retrained
        A candidate, or in production if that was asked for and it is better; without
        a version if nothing was learned. Too few runs are a `ConfigError`, no model in
        production is a `ModelError`.
    """
    folder, report = Path(folder), progress or _silent
    registry = open_registry(root, retraining.models)
    parent = registry.production(retraining.model)
    results = _results(root, retraining)
    with _only_one(folder):
        unfinished = folder / _UNFINISHED
        plan = _planned(unfinished, results, retraining, parent)
        own = read_own_maps(
            results,
            plan.runs,
            max_memory=retraining.max_megabytes * MEGABYTE,
            progress=lambda done, total: report("read runs", done, total),
        )
        tuned = fine_tune(
            load_model(registry.fetch(parent.name, parent.version, folder / "models")),
            own.maps,
            retraining.recipe,
            checkpoints=Checkpoints(unfinished / "checkpoint"),
            progress=report,
        )
        version = None
        made = _folder_of(folder, parent.name, _NOTHING_LEARNED)
        if tuned.has_learned:
            about = _about(retraining, own)
            version = _registered(registry, tuned, about, folder, who, promote=promote)
            made = _folder_of(folder, version.name, version.version)
        made.mkdir(exist_ok=True)
        draw_curves(tuned.curves, tuned.comparison, made / _CURVES)
        _write_runs(made / _RUNS, plan.runs)
        shutil.rmtree(unfinished)
    return Retrained(version, tuned.comparison, made, plan.is_begun, own)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Keep other trainings out of a folder; a process that dies lets go."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with lock_file(folder / _LOCK):
            yield
    except StateInUseError as error:
        raise ConfigError(
            f"another training is at work in {folder}: {error}; wait, or name another "
            "folder"
        ) from error


def _results(root: Container, retraining: Retraining) -> XPCSResultsCatalog:
    results = root.get(retraining.results)
    if not isinstance(results, XPCSResultsCatalog):
        raise ConfigError(f"{root.uri} has no results at {retraining.results!r}")
    return results


def _planned(
    folder: Path,
    results: XPCSResultsCatalog,
    retraining: Retraining,
    parent: ModelVersion,
) -> _Plan:
    """Return the plan of the unfinished training in a folder, or make one."""
    words = f"{results.uri}\n{retraining.model_dump_json()}\n{parent.sha256}"
    recipe = hashlib.sha256(words.encode()).hexdigest()
    begun = _read_plan(folder / _PLAN)
    if begun is not None and begun.recipe == recipe:
        return begun
    runs = runs_with_maps(find_runs(results, retraining.query))
    require_runs(run.run_uid for run in runs)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    plan = {"recipe": recipe, "runs": [asdict(run) for run in runs]}
    partial = folder / f".{_PLAN}"
    partial.write_text(json.dumps(plan, indent=1) + "\n")
    partial.replace(folder / _PLAN)
    return _Plan(recipe, runs, is_begun=False)


def _read_plan(path: Path) -> _Plan | None:
    try:
        plan = json.loads(path.read_text())
        runs = tuple(RunResult(**run) for run in plan["runs"])
        return _Plan(str(plan["recipe"]), runs, is_begun=True)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _registered(
    registry: ModelRegistry,
    tuned: FineTuned,
    about: dict[str, Any],
    folder: Path,
    who: str | None,
    *,
    promote: bool,
) -> ModelVersion:
    """Write the candidate and register it, and promote it if it deserves that."""
    version = _candidate(registry, tuned, about, folder, who)
    if not promote or tuned.comparison.outcome != "better":
        return version
    decided_by, why = version.history[-1].who, tuned.comparison.sentence
    return registry.promote(version.name, version.version, decided_by, why)


def _candidate(
    registry: ModelRegistry,
    tuned: FineTuned,
    about: dict[str, Any],
    folder: Path,
    who: str | None,
) -> ModelVersion:
    """Write the candidate and register it, unless it was just before a crash."""
    name, there = tuned.parent.name, registry.versions(tuned.parent.name)
    version = _next_version(tuned.parent.version, {item.version for item in there})
    made = _folder_of(folder, name, version)
    card = json.loads(save_candidate(tuned, version, made, about).read_text())
    for item in there:
        if item.sha256 == card["sha256"]:
            shutil.rmtree(made)
            made = _folder_of(folder, name, item.version)
            save_candidate(tuned, item.version, made, about)
            return item
    return registry.register(made, who=who, why=tuned.comparison.sentence)


def _folder_of(folder: Path, name: str, version: str) -> Path:
    return folder / f"{name}-{version}"


def _next_version(parent: str, taken: set[str]) -> str:
    base = parent.partition(_OWN)[0]
    number = 1
    while f"{base}{_OWN}{number}" in taken:
        number += 1
    return f"{base}{_OWN}{number}"


def _about(retraining: Retraining, own: OwnMapsRead) -> dict[str, Any]:
    return {
        "query": retraining.query,
        "n_left_out": {
            "too short": own.n_too_short,
            "too large": own.n_too_large,
            "not chosen": own.n_not_chosen,
        },
    }


def _write_runs(path: Path, runs: tuple[RunResult, ...]) -> None:
    """Say of each run what it was for."""
    lines = [f"{part_of(run.run_uid)} {run.run_uid} {run.key}\n" for run in runs]
    path.write_text("".join(lines))


def _silent(stage: str, done: int, total: int) -> None:
    """Report nothing."""
