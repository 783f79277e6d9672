"""What each strategy finds where the truth is known."""

import numpy as np
import pytest
from scipy.special import expit

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection import (
    Blend,
    Boundary,
    Candidate,
    Chance,
    Coverage,
    Novelty,
    Observation,
    RareLabel,
    Remeasure,
    SelectorSettings,
    StrategySelector,
    Turns,
    Uncertainty,
    WantedLabel,
    WantedProperty,
    discovery,
    phase_boundary,
)
from ainerd_bluesky.vocabulary import DYNAMICS

LINE = [Candidate(f"s{n}", (float(n),)) for n in range(21)]
GRID = [Candidate(f"{x} {y}", (x / 14, y / 14)) for x in range(15) for y in range(15)]
AGAIN = SelectorSettings(max_remeasures=2)


def seen(name, label="aging", confidence=0.95, **more):
    novelty = more.pop("novelty", 0.2)
    probabilities = more.pop("probabilities", {label: confidence})
    return Observation(name, label, confidence, novelty, probabilities, **more)


def refused(name, run_uid=""):
    return Observation(name, "invalid", 1.0, 1.0, run_uid=run_uid)


def place(suggestion):
    return int(suggestion.candidate.name[1:])


def first(strategy, observations, candidates=LINE, **options):
    selector = StrategySelector(candidates, strategy, **options)
    selector.ingest(observations)
    return selector.suggest()[0]


def scan(selector, answer, n_scans):
    """Let a selector choose and learn; return what it chose."""
    chosen = []
    for _ in range(n_scans):
        [suggestion] = selector.suggest()
        chosen.append(suggestion)
        selector.ingest([answer(suggestion.candidate)])
    return chosen


def test_novelty_goes_beside_the_novel():
    found = first(
        Novelty(exploration=0.0), [seen("s4", novelty=0.1), seen("s15", novelty=0.9)]
    )
    assert place(found) in {14, 16}
    assert "expected novelty 0.7" in found.reason


def test_novelty_finds_more_of_a_novel_region_than_chance():
    centre = np.array([0.8, 0.3])

    def answer(candidate):
        is_novel = np.linalg.norm(np.array(candidate.coordinates) - centre) < 0.2
        return seen(candidate.name, novelty=0.9 if is_novel else 0.1)

    chosen = scan(StrategySelector(GRID, Novelty()), answer, 40)
    n_found = sum(answer(each.candidate).novelty == 0.9 for each in chosen)
    n_novel = sum(answer(candidate).novelty == 0.9 for candidate in GRID)
    assert n_found > 2 * n_novel * 40 / len(GRID)


def test_uncertainty_goes_between_two_labels():
    found = first(Uncertainty(), [seen("s2", "aging"), seen("s18", "static")])
    assert 8 <= place(found) <= 12
    assert "aging (0." in found.reason
    assert "static (0." in found.reason


def test_uncertainty_goes_beside_an_answer_that_was_open():
    open_answer = seen(
        "s8", confidence=0.5, probabilities={"aging": 0.5, "static": 0.5}
    )
    clear = [seen(f"s{n}") for n in (0, 4, 12, 16, 20)]
    assert place(first(Uncertainty(), [*clear, open_answer])) in {7, 9}


def test_the_wanted_label_is_looked_for_beside_itself():
    found = first(
        WantedLabel({"intermittent": 1.0}, exploration=0.0),
        [seen("s4"), seen("s15", "intermittent")],
    )
    assert place(found) in {14, 16}
    assert "intermittent expected with 0." in found.reason


def test_a_word_that_the_model_does_not_know_is_found_by_it():
    words = [*DYNAMICS, "gel"]
    gel = seen("s15", "gel", probabilities={"aging": 0.6, "static": 0.4})
    found = first(
        WantedLabel({"gel": 1.0}, exploration=0.0), [seen("s4"), gel], vocabulary=words
    )
    assert place(found) in {14, 16}


def relaxing(candidate):
    """Relaxation rate 10 ** (4 x - 2.3) /s: 1 /s at x = 0.575."""
    rate = 10 ** (4 * candidate.coordinates[0] - 2.3)
    return seen(candidate.name, physics={"relaxation_rate": rate})


def test_a_wanted_property_is_reached_within_its_tolerance():
    line = [Candidate(f"s{n}", (n / 80,)) for n in range(81)]
    wanted = WantedProperty("relaxation_rate", 1.0, tolerance=0.1, is_log=True)
    chosen = scan(StrategySelector(line, wanted), relaxing, 12)
    rates = np.array(
        [relaxing(c.candidate).value_of("relaxation_rate") for c in chosen]
    )
    n_reached = int((np.abs(np.log10(rates)) <= 0.1).sum())
    # 4 of 81 samples are within the tolerance: chance would find 0.6 of them.
    assert n_reached >= 3
    assert "1 wanted" in chosen[-1].reason


def test_a_wanted_property_that_nobody_has_leaves_the_choice_to_coverage():
    found = first(WantedProperty("relaxation_rate", 1.0, 0.1), [seen("s0")])
    assert found.strategy == "coverage"


def test_without_logarithms_a_property_is_reached_too():
    wanted = WantedProperty("alpha", 1.5, tolerance=0.05, exploration=0.0)
    results = [
        seen(f"s{n}", physics={"alpha": 0.5 + n / 10}) for n in (0, 4, 8, 12, 16, 20)
    ]
    assert place(first(wanted, results)) in {9, 10, 11}


def phase(candidate):
    x, y = candidate.coordinates
    return seen(candidate.name, "aging" if y > 0.3 + 0.4 * x**2 else "static")


def map_error(strategy, n_scans):
    selector = StrategySelector(GRID, strategy)
    scan(selector, phase, n_scans)
    expected = selector.expected_labels()
    return np.mean([expected[c.name][0] != phase(c).label for c in GRID])


def test_a_boundary_is_mapped_better_than_by_coverage_or_chance():
    own = map_error(phase_boundary(), 40)
    assert own < 0.02
    assert own < 0.5 * min(map_error(Coverage(), 40), map_error(Chance(), 40))


def test_scans_for_a_boundary_lie_at_the_boundary():
    chosen = scan(StrategySelector(GRID, Boundary()), phase, 40)
    points = np.array([each.candidate.coordinates for each in chosen[20:]])
    everywhere = np.array([candidate.coordinates for candidate in GRID])

    def away(xy):
        return np.abs(xy[:, 1] - 0.3 - 0.4 * xy[:, 0] ** 2)

    assert np.median(away(points)) < 0.25 * np.median(away(everywhere))


def test_coverage_halves_the_largest_gap():
    assert place(first(Coverage(), [seen("s0"), seen("s6"), seen("s20")])) == 13


def test_chance_takes_no_notice_of_results():
    without = [
        place(found) for found in scan(StrategySelector(LINE, Chance()), relaxing, 21)
    ]
    found = first(Chance(), [seen(f"s{n}", novelty=1.0) for n in without[3:6]])
    assert place(found) == without[0]
    assert sorted(without) == list(range(21))


def test_a_refused_scan_is_tried_again_as_often_as_allowed():
    selector = StrategySelector(LINE, Remeasure(), settings=AGAIN)
    selector.ingest([seen("s3"), refused("s8", "run 0")])
    for n_refused in (1, 2):
        [found] = selector.suggest()
        assert found.candidate.name == "s8"
        assert f"refused {n_refused} times" in found.reason
        selector.ingest([refused("s8", f"run {n_refused}")])
    assert selector.suggest()[0].strategy == "coverage"


def test_what_was_refused_least_is_tried_again_first():
    results = [refused("s3", "a"), refused("s3", "b"), refused("s9", "c")]
    assert place(first(Remeasure(), results, settings=AGAIN)) == 9


def test_a_refused_scan_leaves_its_neighbourhood_to_coverage():
    # The gap around s5 is the largest, but a scan in it came to nothing.
    results = [seen("s0"), refused("s5"), seen("s10"), seen("s18")]
    assert place(first(Coverage(), results)) == 14


def rare_campaign(seed):
    """Return samples in a plane, the answers of a classifier, and which are rare.

    One kind fills the left half, one the right; a third takes up 1 % of the samples,
    in a disc where the two meet. A sample near a boundary holds some of both kinds,
    which shows in the log-odds.
    """
    rng = np.random.default_rng(seed)
    points = rng.random((300, 2))
    centre = (0.5, rng.uniform(0.1, 0.9))
    away = np.linalg.norm(points - centre, axis=1)
    radius = np.sort(away)[2] + 1e-9
    rare, left = (
        expit(8 * np.tanh(distance / 0.06) + 2.5 * rng.standard_normal(300))
        for distance in (radius - away, 0.5 - points[:, 0])
    )
    answers = []
    for index, p in enumerate(rare):
        q = (1 - p) * left[index]
        both = {"two-step": float(p), "aging": float(q), "static": float(1 - p - q)}
        label = max(both, key=both.__getitem__)
        answers.append(seen(f"s{index}", label, both[label], probabilities=both))
    candidates = [Candidate(f"s{i}", (x, y)) for i, (x, y) in enumerate(points)]
    return candidates, answers, away <= radius


def scans_to_find(seed):
    candidates, answers, is_rare = rare_campaign(seed)
    settings = SelectorSettings(random_state=seed)
    selector = StrategySelector(candidates, discovery(), settings=settings)
    chosen = []
    while not chosen or not is_rare[chosen[-1]]:
        chosen.append(place(selector.suggest()[0]))
        selector.ingest([answers[chosen[-1]]])
    return len(chosen)


def test_a_rare_class_is_found_sooner_than_by_chance():
    # The first of 3 among 300 in a random order stands at 301 / 4 = 75 in the mean.
    assert np.mean([scans_to_find(seed) for seed in range(16)]) < 0.7 * 301 / 4


def test_a_rare_label_says_what_may_hide():
    candidates, answers, _ = rare_campaign(0)
    found = first(RareLabel(), answers[:50], candidates)
    assert "so far, may hide here with 0." in found.reason


def test_no_signal_is_not_looked_for():
    results = [seen(f"s{n}", label) for n, label in enumerate(DYNAMICS[:-1])]
    assert "no-signal" not in first(RareLabel(), results).reason


STRATEGIES = [
    Novelty(),
    Uncertainty(),
    WantedLabel({"aging": 1.0}),
    WantedProperty("relaxation_rate", 1.0, 0.1, is_log=True),
    Boundary(),
    Coverage(),
    RareLabel(),
    Chance(),
    discovery(),
    phase_boundary(),
    Blend((Novelty(), Coverage()), (1.0, 1.0)),
]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: s.name)
def test_five_suggestions_at_once_lie_apart(strategy):
    selector = StrategySelector(GRID, strategy)
    selector.ingest([relaxing(GRID[n]) for n in (33, 180)])
    points = np.array([s.candidate.coordinates for s in selector.suggest(5)])
    away = np.linalg.norm(points[:, None] - points, axis=2)
    # Five of 225 samples by chance come as close as 0.16 in half of the cases.
    assert away[np.triu_indices(5, 1)].min() > 0.2


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: s.name)
@pytest.mark.parametrize("n_results", [0, 1, 30])
def test_scores_are_finite_and_reasons_are_sentences(strategy, n_results):
    selector = StrategySelector(GRID, strategy)
    selector.ingest([relaxing(candidate) for candidate in GRID[::7][:n_results]])
    [found] = selector.suggest()
    assert np.isfinite(found.score)
    assert found.score >= 0
    assert found.reason.startswith(f"{found.candidate.name}: ")
    assert found.reason.endswith(".")
    assert "nan" not in found.reason


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: s.name)
def test_candidates_without_coordinates_are_all_suggested(strategy):
    selector = StrategySelector([Candidate(f"s{n}") for n in range(6)], strategy)
    selector.ingest([seen("s0")])
    assert sorted(place(found) for found in selector.suggest(9)) == [1, 2, 3, 4, 5]


def trust(labels):
    selector = StrategySelector(GRID, Novelty())
    answers = zip(GRID, labels, strict=True)
    selector.ingest([seen(candidate.name, str(label)) for candidate, label in answers])
    return selector.report()["trust_in_length_scales"]


def test_neighbours_are_believed_where_they_are_alike():
    believed = trust([phase(candidate).label for candidate in GRID])
    assert believed["0.05"] + believed["0.1"] > 0.9


def test_neighbours_are_not_believed_where_labels_are_shuffled(rng):
    believed = trust(rng.choice(["aging", "static"], len(GRID)))
    # Each began with 0.2. What pools most results comes closest to the mean of all.
    assert believed["0.05"] + believed["0.1"] < 0.1
    assert believed["0.4"] + believed["none"] > 0.6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Novelty(-1.0), "exploration must be finite and >= 0, got -1.0"),
        (lambda: Novelty(np.nan), "got nan"),
        (lambda: WantedLabel({}), "need a wanted label"),
        (lambda: WantedLabel({"aging": 0.0}), "got {'aging': 0.0}"),
        (lambda: WantedLabel({"aging": np.nan}), "got {'aging': nan}"),
        (lambda: WantedProperty("a", np.nan, 1.0), "got nan and 1.0"),
        (lambda: WantedProperty("a", 1.0, 0.0), "got 1.0 and 0.0"),
        (lambda: WantedProperty("a", -1.0, 1.0, is_log=True), "target > 0, got -1.0"),
        (lambda: Boundary(-1.0), "reach must be finite and >= 0, got -1.0"),
        (lambda: RareLabel(share=2.0), "got 2.0, 0.03 and 2.0"),
        (lambda: Turns((), ()), r"strategies that differ, got \[\]"),
        (
            lambda: Turns((Chance(), Chance()), (1.0, 1.0)),
            r"got \['chance', 'chance'\]",
        ),
        (
            lambda: Turns((Turns((Chance(), Novelty()), (1.0, 1.0)), Chance()), (1, 1)),
            r"at any depth, got \['chance', 'novelty', 'chance'\]",
        ),
        (lambda: Turns((Chance(),), (0.0,)), r"got \(0.0,\)"),
        (lambda: Blend((Chance(),), (1.0, 2.0)), r"got \(1.0, 2.0\)"),
        (
            lambda: StrategySelector(LINE, WantedLabel({"gel": 1.0})),
            r"got \['gel'\]: correct them",
        ),
        (
            lambda: StrategySelector(
                LINE, Turns((WantedLabel({"gel": 1.0}), Chance()), (1.0, 1.0))
            ),
            r"got \['gel'\]",
        ),
        (
            lambda: StrategySelector(
                LINE,
                Turns(
                    (WantedProperty("a", 1.0, 1.0), WantedProperty("b", 1.0, 1.0)),
                    (1.0, 1.0),
                ),
            ),
            "follows one property, got wanted a 1, wanted b 1",
        ),
    ],
)
def test_a_strategy_that_cannot_be_is_named(make, message):
    with pytest.raises(SelectionError, match=message):
        make()
