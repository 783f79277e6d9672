"""Figures of a model on simulated maps, drawn afresh, with known truth."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score, f1_score, roc_auc_score

from ainerd_bluesky.bench.model_rows import ModelRow
from ainerd_bluesky.bench.representations import principal_20
from ainerd_bluesky.ml import Classification, Model, TrainingConfig
from ainerd_bluesky.ml.calibration import expected_calibration_error
from ainerd_bluesky.ml.map_features import signal_to_noise
from ainerd_bluesky.ml.simulated_maps import MapSet, simulate_map_set
from ainerd_bluesky.ml.training import train
from ainerd_bluesky.vocabulary import DYNAMICS, Label

__all__ = [
    "Answers",
    "accuracy_at_coverage",
    "answers_of",
    "draw_long_maps",
    "few_examples_accuracy",
    "novelty_row",
    "simulated_rows",
]

Floats = NDArray[np.floating]

_COVERAGE = 0.9
_N_FRAMES = (96, 128, 192, 256, 384, 512)
_N_EXAMPLES = 5
_N_DRAWS = 10
_NOVEL = (Label.OSCILLATORY, Label.TWO_STEP)
_NOVELTY_MAPS = 900


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model said, as arrays.

    Parameters
    ----------
    labels : ndarray of str, shape (n_maps,)
        Label given; `invalid` for a map that was refused.
    confidence : ndarray of float64, shape (n_maps,)
        Its probability.
    """

    labels: NDArray[np.str_]
    confidence: NDArray[np.float64]


def answers_of(classified: list[Classification]) -> Answers:
    """Collect labels and confidences.

    Parameters
    ----------
    classified : list of Classification
        As a model gives them.

    Returns
    -------
    Answers
        In the same order.
    """
    return Answers(
        np.array([answer.label for answer in classified], dtype=np.str_),
        np.array([answer.confidence for answer in classified], dtype=np.float64),
    )


def simulated_rows(model: Model, map_set: MapSet) -> list[ModelRow]:
    """Measure words, clusters and words learned from five examples.

    Parameters
    ----------
    model : Model
        To measure.
    map_set : MapSet
        Maps that the model has not seen.

    Returns
    -------
    list of ModelRow
        Beside the twenty principal components of the same maps.
    """
    answers = answers_of(model.classify(map_set.samples))
    spaces = {
        "model": model.embed(map_set.samples),
        "PCA-20": principal_20(list(map_set.samples)),
    }
    return [
        *_word_rows(answers, map_set.labels),
        _cluster_row(model, spaces, map_set.labels),
        _examples_row(spaces, map_set.labels),
    ]


def draw_long_maps(n_maps: int, seed: int) -> MapSet:
    """Draw maps of scans of 96 to 512 frames.

    Parameters
    ----------
    n_maps : int
        How many.
    seed : int
        Rules all chance; no model learns from the same maps.

    Returns
    -------
    MapSet
        Every word equally often.
    """
    return simulate_map_set(n_maps, np.random.SeedSequence(seed), n_frames=_N_FRAMES)


def accuracy_at_coverage(
    confidence: NDArray[np.float64], is_right: NDArray[np.bool_], coverage: float
) -> float:
    """Compute the share of right answers among the most confident ones.

    Parameters
    ----------
    confidence : ndarray of shape (n_samples,)
        Probability of the label given.
    is_right : ndarray of bool, shape (n_samples,)
        Whether it was right.
    coverage : float
        Share of samples that get an answer.

    Returns
    -------
    float
        0 to 1.

    Examples
    --------
    >>> accuracy_at_coverage(np.array([0.9, 0.2]), np.array([True, False]), 0.5)
    1.0
    """
    n_answered = max(1, round(coverage * len(confidence)))
    most_confident = np.argsort(-confidence, kind="stable")[:n_answered]
    return float(is_right[most_confident].mean())


def few_examples_accuracy(Z: Floats, labels: NDArray[np.str_]) -> float:
    """Learn every word from five examples, and name all other samples.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_components)
        Any description of the samples.
    labels : ndarray of str, shape (n_samples,)
        Word of each.

    Returns
    -------
    float
        Accuracy of a linear classifier, mean over ten draws of the examples.
    """
    found = []
    for seed in range(_N_DRAWS):
        rng = np.random.default_rng(seed)
        examples = np.concatenate(
            [
                rng.choice(np.flatnonzero(labels == word), _N_EXAMPLES, replace=False)
                for word in np.unique(labels)
            ]
        )
        is_other = np.ones(len(labels), bool)
        is_other[examples] = False
        linear = LogisticRegression(C=10, max_iter=1000)
        linear.fit(Z[examples], labels[examples])
        found.append(linear.score(Z[is_other], labels[is_other]))
    return float(np.mean(found))


def novelty_row(
    config: TrainingConfig, progress: Callable[[str, int, int], None]
) -> ModelRow:
    """Train a model that never met two of the words, and ask how novel they are.

    Parameters
    ----------
    config : TrainingConfig
        Sizes and seed of the model to train.
    progress : callable
        Called with stage, steps done and steps in all.

    Returns
    -------
    ModelRow
        Area under the curve of novelty, unknown dynamics against known ones.
    """
    known = tuple(word for word in DYNAMICS if word not in _NOVEL)
    bundle = train(config, words=known, progress=progress)
    seed = np.random.SeedSequence((config.seed, 1))
    map_set = simulate_map_set(_NOVELTY_MAPS, seed)
    traits = bundle.autoencoder.traits(map_set.samples)
    novelty = bundle.known.novelty(traits, signal_to_noise(map_set.samples))
    area = roc_auc_score(np.isin(map_set.labels, _NOVEL), novelty)
    note = f"{' and '.join(_NOVEL)} left out of {config.n_maps} maps"
    return ModelRow(
        "novelty: area under ROC", area, 0.95, more_is_better=True, note=note
    )


def _word_rows(answers: Answers, labels: NDArray[np.str_]) -> list[ModelRow]:
    is_right = answers.labels == labels
    macro_f1 = f1_score(
        labels, answers.labels, labels=np.unique(labels), average="macro"
    )
    error = expected_calibration_error(answers.confidence, is_right)
    sure = accuracy_at_coverage(answers.confidence, is_right, _COVERAGE)
    note = f"{len(labels)} maps"
    top = float(is_right.mean())
    return [
        ModelRow("words: top-1", top, 0.95, more_is_better=True, note=note),
        ModelRow("words: macro-F1", float(macro_f1), 0.94, more_is_better=True),
        ModelRow("words: calibration error", error, 0.03),
        ModelRow("words: top-1 at 90 % coverage", sure, 0.98, more_is_better=True),
    ]


def _cluster_row(
    model: Model, spaces: dict[str, Floats], labels: NDArray[np.str_]
) -> ModelRow:
    scores = {name: _cluster_score(Z, labels) for name, Z in spaces.items()}
    own = scores.pop("model")
    subject = "clusters without labels: ARI"
    if not model.card.get("label_free", False):
        note = f"{own:.2f}, but the class loss shaped this latent: no figure"
        return ModelRow(subject, target=0.70, baselines=scores, note=note)
    return ModelRow(subject, own, 0.70, more_is_better=True, baselines=scores)


def _cluster_score(Z: Floats, labels: NDArray[np.str_]) -> float:
    found = KMeans(len(np.unique(labels)), n_init=10, random_state=0).fit_predict(Z)
    return float(adjusted_rand_score(labels, found))


def _examples_row(spaces: dict[str, Floats], labels: NDArray[np.str_]) -> ModelRow:
    scores = {name: few_examples_accuracy(Z, labels) for name, Z in spaces.items()}
    own = scores.pop("model")
    return ModelRow(
        "five examples a word: top-1", own, 0.85, more_is_better=True, baselines=scores
    )
