"""Fine-tune a model on a facility's own maps, which have no labels."""

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import (  # type: ignore[import-untyped] # comes with scikit-learn
    threadpool_limits,
)

from ainerd_bluesky.errors import ModelError
from ainerd_bluesky.ml.augmentation import disturbed
from ainerd_bluesky.ml.autoencoder import DynamicsAutoencoder, torch_threads
from ainerd_bluesky.ml.calibration import calibrated, fit_latent, measure
from ainerd_bluesky.ml.candidate import FineTuned
from ainerd_bluesky.ml.checkpoints import Checkpoints
from ainerd_bluesky.ml.classifier import LatentClassifier, Model
from ainerd_bluesky.ml.comparison import compare, half_error
from ainerd_bluesky.ml.halves import OwnMaps, Part, require_runs
from ainerd_bluesky.ml.map_features import map_features, signal_to_noise
from ainerd_bluesky.ml.maps import SAMPLE_SIZE
from ainerd_bluesky.ml.novelty import KnownMaps
from ainerd_bluesky.ml.simulated_maps import MapSet, simulate_map_set
from ainerd_bluesky.ml.simulated_scenes import SceneSet, simulate_scenes
from ainerd_bluesky.ml.tuning import (
    FineTuningConfig,
    HalfViews,
    Lessons,
    SimulatedViews,
    Tuning,
)
from ainerd_bluesky.vocabulary import DYNAMICS

__all__ = ["FineTuningConfig", "fine_tune"]

Floats = NDArray[np.float32]
Progress = Callable[[str, int, int], None]
"""Called with the stage's name, the steps done and the steps in all."""

_PARTS: tuple[Part, ...] = ("learn", "watch", "judge")
# A scene that keeps this much of its contrast everywhere is told by its level alone.
_FLAT = 0.8
_WATCHED_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class _Simulated:
    scenes: SceneSet
    calibrate: MapSet
    test: MapSet


def fine_tune(
    model: Model,
    own: OwnMaps,
    config: FineTuningConfig | None = None,
    *,
    checkpoints: Checkpoints | None = None,
    progress: Progress | None = None,
) -> FineTuned:
    """Fine-tune a model on own maps, and compare it with what it was.

    Both halves of a map shall have one fingerprint, far from those of other runs, and
    one word. Fresh simulated maps shall keep the fingerprints that they had, and their
    words. Where it helps the watched runs, the maps of which others are made again are
    drawn anew from own and simulated ones. The normalisation of features stays, and so
    do the traits: what the model knew it goes on to know, beside own maps.

    Parameters
    ----------
    model : Model
        In production; it is not changed.
    own : OwnMaps
        Split by run as `part_of` says.
    config : FineTuningConfig, optional
        Recipe.
    checkpoints : Checkpoints, optional
        Keeps every epoch. A training of the same recipe, maps and model that was
        killed goes on, and ends with the same bits as if it had not been.
    progress : callable, optional
        Called with stage, steps done and steps in all.

    Returns
    -------
    FineTuned
        The same weights, bit by bit, for the same input on the same machine.

    Raises
    ------
    ModelError
        If the model is not one that can be fine-tuned, or the checkpoint is that of
        another training. Too few runs are a `ConfigError`.
    """
    config, report = config or FineTuningConfig(), progress or _silent
    if not isinstance(model.encoder, DynamicsAutoencoder):
        raise ModelError(
            f"{model.name} {model.version} has preset {model.card.get('preset')!r}, "
            "which cannot be fine-tuned: put another model into production"
        )
    require_runs(own.run_uids.tolist())
    identity = _identity(model, own, config)
    if checkpoints is not None:
        checkpoints.load(identity)  # refuses another training before any work
    encoder = copy.deepcopy(model.encoder)
    parts = {part: own.part(part) for part in _PARTS}
    with torch_threads(config.n_threads), threadpool_limits(1, "blas"):
        simulated = _simulate(encoder, config, report)
        encoder = _with_own_shapes(encoder, simulated.scenes, parts)
        lessons = _lessons(encoder, simulated.scenes, parts, config)
        tuning = Tuning(encoder.network_, *lessons, config)
        _advance(tuning, checkpoints, identity, config.n_epochs, report)
        latent = _latent(model, encoder, simulated, config)
        known = _known(model, encoder, parts)
        test = simulated.test
        described = encoder.transform(test.samples), encoder.scores(test.samples)
        figures = measure(latent, *described, test.labels, test.signal_to_noise)
        candidate = Model(encoder, latent, known, {})
        comparison = compare(model, candidate, parts["judge"], test)
    report("measure", 1, 1)
    return FineTuned(
        model, config, encoder, latent, known, figures, comparison, tuning.curves,
        {part: maps.n_runs for part, maps in parts.items()},
        {part: len(maps) for part, maps in parts.items()},
        _differ(model.encoder, encoder),
    )  # fmt: skip


def _simulate(
    encoder: DynamicsAutoencoder, config: FineTuningConfig, report: Progress
) -> _Simulated:
    n_scenes = config.n_maps // 2
    total, done = n_scenes + 2 * config.n_held_out, 0

    def count(n_new: int) -> None:
        nonlocal done
        done += n_new
        report("simulate", done, total)

    words = tuple(word for word in DYNAMICS if word in encoder.classes_.tolist())
    of_scenes, *of_maps = np.random.SeedSequence(config.seed).spawn(3)
    scenes = simulate_scenes(
        n_scenes, of_scenes, size=SAMPLE_SIZE, words=words, progress=count
    )
    calibrate, test = (
        simulate_map_set(config.n_held_out, seed, words=words, progress=count)
        for seed in of_maps
    )
    return _Simulated(scenes, calibrate, test)


def _with_own_shapes(
    encoder: DynamicsAutoencoder, scenes: SceneSet, parts: dict[Part, OwnMaps]
) -> DynamicsAutoencoder:
    """Return an encoder that knows own shapes, if it tells watched maps better."""
    other = copy.deepcopy(encoder)
    clean = scenes.clean.reshape(-1, SAMPLE_SIZE, SAMPLE_SIZE)
    maps = np.concatenate([clean, parts["learn"].whole])
    other.network_.shape.fit(torch.from_numpy(maps))
    is_better = half_error(other, parts["watch"]) < half_error(encoder, parts["watch"])
    return other if is_better else encoder


def _lessons(
    encoder: DynamicsAutoencoder,
    scenes: SceneSet,
    parts: dict[Part, OwnMaps],
    config: FineTuningConfig,
) -> tuple[Lessons, Lessons]:
    """Return what to learn from and what to watch."""
    of_own, of_scenes = np.random.default_rng((config.seed, 1)).spawn(2)
    samples = scenes.samples.reshape(-1, SAMPLE_SIZE, SAMPLE_SIZE)
    classes = np.searchsorted(encoder.classes_, np.repeat(scenes.labels, 2))
    lowest = scenes.clean.reshape(len(samples), -1).min(axis=1)
    simulated = SimulatedViews(
        torch.from_numpy(samples),
        torch.from_numpy(map_features(disturbed(samples, of_scenes))),
        torch.from_numpy(classes),
        torch.from_numpy(lowest > _FLAT),
    )
    n_watched = max(1, round(_WATCHED_SHARE * len(samples)))
    place = torch.arange(len(samples))
    return (
        Lessons(_half_views(parts["learn"], of_own), simulated.at(place[:-n_watched])),
        Lessons(_half_views(parts["watch"], None), simulated.at(place[-n_watched:])),
    )


def _half_views(own: OwnMaps, rng: np.random.Generator | None) -> HalfViews:
    halves = own.halves
    shown = halves if rng is None else [disturbed(half, rng) for half in halves]
    features = np.stack([map_features(half) for half in shown])
    return HalfViews(
        torch.from_numpy(halves), torch.from_numpy(features), torch.from_numpy(own.runs)
    )


def _advance(
    tuning: Tuning,
    checkpoints: Checkpoints | None,
    identity: str,
    n_epochs: int,
    report: Progress,
) -> None:
    """Train to the end, from the last checkpoint on."""
    kept = None if checkpoints is None else checkpoints.load(identity)
    if kept is not None:
        tuning.restore(kept)
    while not tuning.is_over:
        tuning.advance()
        if checkpoints is not None:
            checkpoints.save(identity, tuning.checkpoint())
        report("train", tuning.epoch, n_epochs)
    report("train", n_epochs, n_epochs)
    tuning.finish()


def _latent(
    model: Model,
    encoder: DynamicsAutoencoder,
    simulated: _Simulated,
    config: FineTuningConfig,
) -> LatentClassifier:
    """Describe the latent anew: clusters keep their ids."""
    samples, calibrate = simulated.scenes.samples[:, 0], simulated.calibrate
    Z, before = encoder.transform(samples), model.encoder.transform(samples)
    centers = model.latent.centers
    latent = fit_latent(
        Z,
        simulated.scenes.labels,
        tuple(encoder.classes_.tolist()),
        n_clusters=len(centers),
        random_state=config.seed,
    )
    # Fingerprints stayed about where they were, and so do clusters.
    members = model.latent.clusters(before)
    moved = [
        Z[members == cluster].mean(axis=0) if (members == cluster).any() else center
        for cluster, center in enumerate(centers)
    ]
    latent = calibrated(latent, encoder.scores(calibrate.samples), calibrate.labels)
    return replace(latent, centers=np.asarray(moved, np.float32))


def _known(
    model: Model, encoder: DynamicsAutoencoder, parts: dict[Part, OwnMaps]
) -> KnownMaps:
    """Know own maps beside all that the model knows: traits are what they were."""
    learned, held_out = parts["learn"].whole, parts["watch"].whole
    return model.known.with_more(
        encoder.traits(learned), encoder.traits(held_out), signal_to_noise(held_out)
    )


def _differ(parent: DynamicsAutoencoder, encoder: DynamicsAutoencoder) -> bool:
    before, after = (each.network_.state_dict() for each in (parent, encoder))
    return any(not torch.equal(before[key], after[key]) for key in before)


def _identity(model: Model, own: OwnMaps, config: FineTuningConfig) -> str:
    """Return a hash of all that decides the weights."""
    parts = (
        config.model_dump_json().encode(),
        model.sha256.encode(),
        "\n".join(own.run_uids.tolist()).encode(),
        np.ascontiguousarray(own.halves).tobytes(),
        np.ascontiguousarray(own.whole).tobytes(),
    )
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()


def _silent(stage: str, done: int, total: int) -> None:
    """Report nothing."""
