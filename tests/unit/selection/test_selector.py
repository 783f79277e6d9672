import json

import numpy as np
import pytest

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection import (
    Candidate,
    NoveltySelector,
    Observation,
    WantedLabelSelector,
    load_selector,
)

LINE = [Candidate(f"s{n}", (float(n),)) for n in range(11)]


def seen(name, label="aging", novelty=0.2, confidence=0.9):
    return Observation(name, label, confidence, novelty, {label: confidence})


def names(suggestions):
    return [suggestion.candidate.name for suggestion in suggestions]


def selectors():
    return [NoveltySelector(LINE), WantedLabelSelector(LINE, {"aging": 1.0})]


@pytest.mark.parametrize("selector", selectors(), ids=lambda s: type(s).__name__)
def test_each_candidate_is_suggested_once(selector):
    assert sorted(names(selector.suggest(6) + selector.suggest(9))) == sorted(
        candidate.name for candidate in LINE
    )
    assert selector.suggest() == []
    assert selector.n_left == 0


def test_suggestions_at_once_spread_out():
    first, second, third = (int(n[1:]) for n in names(NoveltySelector(LINE).suggest(3)))
    assert min(abs(first - second), abs(second - third), abs(first - third)) >= 3


def test_the_same_random_state_gives_the_same_suggestions():
    first, second = (NoveltySelector(LINE, random_state=3) for _ in range(2))
    assert first.suggest(5) == second.suggest(5)
    others = [NoveltySelector(LINE, random_state=n) for n in range(9)]
    assert len({names(other.suggest())[0] for other in others}) > 1


def test_novelty_is_looked_for_beside_the_novel():
    selector = NoveltySelector(LINE, exploration=0.0)
    selector.ingest([seen("s2", novelty=0.05), seen("s8", novelty=0.95)])
    assert names(selector.suggest())[0] in {"s7", "s9"}


def test_exploration_looks_where_nothing_is_known():
    selector = NoveltySelector(LINE, exploration=5.0, length_scale=0.1)
    selector.ingest([seen("s0", novelty=1.0), seen("s1", novelty=1.0)])
    assert int(names(selector.suggest())[0][1:]) > 3


def test_the_wanted_label_is_looked_for_beside_itself():
    selector = WantedLabelSelector(LINE, {"intermittent": 1.0}, exploration=0.0)
    selector.ingest([seen("s2", "aging"), seen("s8", "intermittent")])
    assert names(selector.suggest())[0] in {"s7", "s9"}


def test_a_mixture_prefers_the_label_of_more_weight():
    wanted = {"intermittent": 3.0, "aging": 1.0}
    selector = WantedLabelSelector(LINE, wanted, exploration=0.0)
    selector.ingest([seen("s2", "aging"), seen("s8", "intermittent")])
    assert names(selector.suggest())[0] in {"s7", "s9"}


def test_the_reason_names_numbers_and_the_neighbour():
    selector = WantedLabelSelector(LINE, {"aging": 1.0}, exploration=0.0)
    selector.ingest([seen("s8", "aging", confidence=0.91)])
    [suggestion] = selector.suggest()
    assert "aging expected with 0." in suggestion.reason
    assert suggestion.reason.endswith("nearest result, s8: aging (0.91).")


def test_a_refused_run_is_no_novelty():
    selector = NoveltySelector(LINE, exploration=0.0)
    selector.ingest([Observation("s5", "invalid", 1.0, 1.0, {})])
    assert names(selector.suggest())[0] not in {"s4", "s6"}


@pytest.mark.parametrize("n_candidates", [1, 7])
def test_candidates_without_coordinates_are_all_alike(n_candidates):
    selector = NoveltySelector([Candidate(f"c{n}") for n in range(n_candidates)])
    selector.ingest([seen("c0")])
    assert len(selector.suggest(9)) == n_candidates - 1


def test_guided_search_finds_the_wanted_sooner_than_chance():
    rng = np.random.default_rng(0)
    grid = [Candidate(f"{x}-{y}", (x, y)) for x in range(8) for y in range(8)]
    away = np.array([c.coordinates for c in grid]) - (5, 2)
    is_near = np.hypot(*away.T) < 2
    is_wanted = {c.name: near for c, near in zip(grid, is_near, strict=True)}
    selector = WantedLabelSelector(grid, {"aging": 1.0})
    n_found = 0
    for _ in range(20):
        [suggestion] = selector.suggest()
        label = "aging" if is_wanted[suggestion.candidate.name] else "static"
        n_found += label == "aging"
        selector.ingest([seen(suggestion.candidate.name, label)])
    by_chance = [
        sum(list(rng.permutation(list(is_wanted.values())))[:20]) for _ in range(200)
    ]
    assert n_found > 2 * np.mean(by_chance)


@pytest.mark.parametrize("selector", selectors(), ids=lambda s: type(s).__name__)
def test_a_selector_goes_on_from_its_state(selector):
    selector.ingest([seen("s2"), seen("s3", "static", 0.7)])
    selector.suggest(2)
    other = load_selector(json.loads(json.dumps(selector.state())))
    assert other.suggest(4) == selector.suggest(4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NoveltySelector([]), "got no candidates"),
        (lambda: NoveltySelector([LINE[0], LINE[0]]), r"got \['s0'\]"),
        (lambda: NoveltySelector([LINE[0], Candidate("x")]), r"got \[0, 1\]"),
        (lambda: NoveltySelector([Candidate("x", (np.nan,))]), "must be finite"),
        (lambda: NoveltySelector(LINE, length_scale=0), r"got \(0,\)"),
        (lambda: NoveltySelector(LINE, exploration=-1), "got -1"),
        (lambda: NoveltySelector(LINE).suggest(0), "must be >= 1, got 0"),
        (lambda: NoveltySelector(LINE).ingest([seen("x")]), "'x' is not a candidate"),
        (lambda: NoveltySelector(LINE).ingest([seen("s0", novelty=2)]), "got 2"),
        (lambda: WantedLabelSelector(LINE, {}), r"got \{\}"),
        (lambda: WantedLabelSelector(LINE, {"agin": 1}), r"got \['agin'\]"),
        (lambda: WantedLabelSelector(LINE, {"aging": 0}), "more than 0"),
        (lambda: load_selector({"kind": "x"}), "not the state of a selector"),
        (lambda: Observation.from_summary("s0", {"label": "a"}), "'confidence'"),
    ],
)
def test_what_cannot_be_used_is_named(make, message):
    with pytest.raises(SelectionError, match=message):
        make()


def test_an_observation_is_read_from_a_summary():
    summary = {"label": "aging", "confidence": 0.9, "novelty": 0.1, "probabilities": {}}
    assert Observation.from_summary("s", summary) == Observation("s", "aging", 0.9, 0.1)
