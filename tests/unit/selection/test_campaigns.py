"""Costs, limits, and what is awaited, released, refused or told twice."""

import numpy as np
import pytest

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection import (
    Axis,
    Candidate,
    Coverage,
    Novelty,
    Observation,
    ResumableSelector,
    SelectorSettings,
    StrategySelector,
    WantedLabel,
)
from ainerd_bluesky.vocabulary import DYNAMICS

LINE = [Candidate(f"s{n}", (float(n),)) for n in range(11)]
WANTED = WantedLabel({"aging": 1.0}, exploration=0.0)


def seen(name, label="aging", run_uid="", novelty=0.2, confidence=0.9):
    return Observation(
        name, label, confidence, novelty, {label: confidence}, run_uid=run_uid
    )


def refused(name, run_uid=""):
    return Observation(name, "invalid", 1.0, 1.0, run_uid=run_uid)


def names(suggestions):
    return [suggestion.candidate.name for suggestion in suggestions]


def selector_with(strategy=None, candidates=LINE, axes=(), **settings):
    return StrategySelector(
        candidates,
        strategy or Novelty(),
        axes=axes,
        settings=SelectorSettings(**settings),
    )


# Costs and limits


def test_of_two_that_are_as_good_the_nearer_one_is_taken():
    axis = Axis("x", seconds_per_unit=10.0)
    selector = selector_with(WANTED, axes=[axis], length_scales=(0.1,))
    selector.ingest([seen("s2"), seen("s8"), seen("s5", "static")])
    selector.take("s0")
    selector.ingest([seen("s0", "static")])
    [found] = selector.suggest()
    assert found.candidate.name == "s1"
    assert found.cost == 10.0
    assert ", 10 s to get there and measure;" in found.reason


def test_without_weight_costs_do_not_count():
    axis = Axis("x", seconds_per_unit=1e6)
    free, costly = (
        selector_with(axes=axes, cost_weight=0.0) for axes in ([Axis("x")], [axis])
    )
    assert names(free.suggest(11)) == names(costly.suggest(11))


def way(cost_weight):
    """Return the way through a plane of which one axis, a temperature, is slow."""
    axes = [Axis("T", seconds_per_unit=60.0, settle=300.0), Axis("x")]
    plane = [Candidate(f"{t} {x}", (t, x)) for t in range(6) for x in range(6)]
    selector = selector_with(Coverage(), plane, axes, cost_weight=cost_weight)
    return sum(found.cost for found in selector.suggest(20))


def test_a_slow_axis_is_moved_less_when_costs_count():
    assert way(1.0) < 0.5 * way(0.0)


def test_the_shorter_exposure_is_taken_of_two_that_are_as_good():
    pair = [Candidate("long", exposure=600.0), Candidate("short", exposure=60.0)]
    for random_state in range(4):
        [found] = selector_with(None, pair, random_state=random_state).suggest()
        assert (found.candidate.name, found.cost) == ("short", 60.0)


def test_beyond_the_limits_nothing_is_suggested():
    selector = selector_with(axes=[Axis("x", 2.0, 6.0)])
    assert sorted(names(selector.suggest(99))) == ["s2", "s3", "s4", "s5", "s6"]
    assert selector.n_left == 0


def test_a_decision_names_the_axes():
    plane = [Candidate("a", (293.0, 0.1))]
    axes = [Axis("temperature"), Axis("composition")]
    [found] = selector_with(None, plane, axes).suggest()
    assert found.decision.coordinates == {"temperature": 293.0, "composition": 0.1}


def test_on_a_logarithmic_axis_decades_count():
    rates = [Candidate(f"s{n}", (10.0**n,)) for n in range(-3, 4)]
    axes = [Axis("shear rate", is_log=True)]
    selector = selector_with(Coverage(), rates, axes, cost_weight=0.0)
    selector.ingest([seen("s-3"), seen("s3")])
    assert names(selector.suggest()) == ["s0"]


# What is awaited, released and refused


def test_what_is_awaited_is_not_suggested_again():
    selector = selector_with()
    first = names(selector.suggest(4))
    assert selector.pending == tuple(first)
    assert set(names(selector.suggest(4))).isdisjoint(first)


@pytest.mark.parametrize(("max_remeasures", "n_suggested"), [(0, 1), (1, 2), (3, 4)])
@pytest.mark.parametrize("failure", ["refused", "released"])
def test_what_gave_nothing_is_tried_as_often_as_allowed(
    max_remeasures, n_suggested, failure
):
    selector = selector_with(None, LINE[:1], max_remeasures=max_remeasures)
    n_tries = 0
    while selector.suggest():
        n_tries += 1
        if failure == "refused":
            selector.ingest([refused("s0", f"run {n_tries}")])
        else:
            selector.release("s0")
    assert n_tries == n_suggested


def test_what_was_never_tried_may_be_suggested_again():
    selector = selector_with(None, LINE[:1], max_remeasures=0)
    for _ in range(5):
        assert names(selector.suggest()) == ["s0"]
        selector.release("s0", is_tried=False)


def test_a_person_may_take_a_candidate():
    selector = selector_with()
    selector.take("s4")
    assert selector.pending == ("s4",)
    assert "s4" not in names(selector.suggest(99))
    assert selector.report()["decisions"] == {"operator": 1, "novelty": 10}


@pytest.mark.parametrize(
    "end",
    [
        lambda s: s.release("s4"),
        lambda s: s.note_run("s4", "run 1"),
        lambda s: s.ingest([seen("s4")]),
    ],
    ids=["released", "measured", "known"],
)
def test_what_a_person_took_is_taken_until_something_comes_of_it(end):
    selector = selector_with()
    selector.take("s2")
    selector.take("s4")
    assert [taken.candidate.name for taken in selector.taken] == ["s2", "s4"]
    end(selector)
    assert [taken.candidate.name for taken in selector.taken] == ["s2"]


def test_what_was_taken_back_and_suggested_is_no_choice_of_a_person():
    selector = selector_with()
    selector.take("s4")
    selector.release("s4", is_tried=False)
    selector.suggest(99)
    assert "s4" in selector.pending
    assert selector.taken == ()


def test_what_is_excluded_is_not_suggested_until_it_is_readmitted():
    selector = selector_with()
    selector.exclude("s4", "too hot")
    assert "s4" not in {candidate.name for candidate in selector.left}
    assert selector.excluded == selector.report()["excluded"] == {"s4": "too hot"}
    assert "s4" not in names(selector.suggest(99))
    selector.readmit("s4")
    assert names(selector.suggest(99)) == ["s4"]


def test_a_run_leads_to_its_candidate():
    selector = selector_with()
    [found] = selector.suggest()
    selector.note_run(found.candidate.name, "run 1")
    assert selector.name_of_run("run 1") == found.candidate.name


def test_a_result_that_comes_after_all_is_learned():
    selector = selector_with(max_remeasures=0)
    [found] = selector.suggest()
    selector.release(found.candidate.name)
    selector.ingest([seen(found.candidate.name)])
    assert selector.report()["n_measured"] == 1


def test_a_late_result_does_not_end_the_wait_for_the_present_run():
    selector = selector_with(None, LINE[:1])
    selector.suggest()
    selector.note_run("s0", "first")
    selector.release("s0")
    selector.suggest()
    selector.note_run("s0", "second")
    selector.ingest([refused("s0", "first")])
    assert selector.pending == ("s0",)
    selector.ingest([seen("s0", run_uid="second")])
    assert selector.pending == ()


# Results that come twice


def test_the_same_result_twice_is_learned_once():
    selector = selector_with()
    selector.ingest([seen("s3", run_uid="a"), seen("s5")])
    before = selector.state()
    selector.ingest([seen("s3", run_uid="a"), seen("s5")])
    assert selector.state() == before


def test_a_second_answer_for_a_run_replaces_the_first():
    once, twice = selector_with(), selector_with()
    twice.ingest([seen("s3", novelty=1.0, run_uid="a"), seen("s6", run_uid="b")])
    twice.ingest([seen("s3", "static", run_uid="a")])
    once.ingest([seen("s3", "static", run_uid="a"), seen("s6", run_uid="b")])
    assert twice.observations == once.observations
    assert [(s.candidate, s.score) for s in twice.suggest(3)] == [
        (s.candidate, s.score) for s in once.suggest(3)
    ]


def test_a_refusal_that_is_withdrawn_counts_no_more():
    selector = selector_with(max_remeasures=0)
    selector.ingest([refused("s3", "a")])
    selector.ingest([seen("s3", run_uid="a")])
    assert selector.report()["n_refused"] == 0
    assert selector.report()["n_measured"] == 1


def test_two_refusals_of_one_candidate_are_two():
    selector = selector_with(None, LINE[:1], max_remeasures=1)
    for _ in range(2):
        assert names(selector.suggest()) == ["s0"]
        selector.ingest([refused("s0")])
    assert selector.suggest() == []


# Bad input: nothing is learned, nothing is lost


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (seen("s1", novelty=np.nan), "novelty of 's1' must be within 0 to 1, got nan"),
        (seen("s1", novelty=1.5), "got 1.5"),
        (seen("s1", confidence=np.nan), "confidence of 's1' .* got nan"),
        (seen("s1", confidence=-0.1), "got -0.1"),
        (
            Observation("s1", "aging", 0.9, 0.1, {"aging": np.inf}),
            "probability of 'aging' of 's1' must be within 0 to 1, got inf",
        ),
        (seen("s1", "agin"), r"\['agin'\] of 's1' is not in the vocabulary \(static,"),
        (
            Observation("s1", "aging", 0.9, 0.1, {"gel": 0.1}),
            r"make the selector with vocabulary=\[\*DYNAMICS, 'gel'\]",
        ),
        (seen("unknown"), "'unknown' is not a candidate; the first of 11 are s0, s1"),
        (seen("s1", run_uid="run of s9"), "run 'run of s9' measures 's9', not 's1'"),
        (seen("s1", run_uid="new"), "run 'new' cannot measure both 's0' and 's1'"),
    ],
)
def test_of_results_with_a_bad_one_none_is_learned(bad, message):
    selector = selector_with()
    selector.note_run("s9", "run of s9")
    selector.suggest(2)
    before = selector.state()
    with pytest.raises(SelectionError, match=message):
        selector.ingest([seen("s0", run_uid="new"), bad])
    assert selector.state() == before
    assert selector.observations == ()


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda s: s.exclude("x", "hot"), "'x' is not a candidate; there are 11"),
        (lambda s: s.readmit("s1"), "'s1' is not excluded; those are none"),
        (lambda s: s.take("x"), "'x' is not a candidate; there are 11, such as 's0'"),
        (lambda s: s.take("s9"), "'s9' is awaited already: ingest its result"),
        (lambda s: s.release("s1"), r"'s1' is not awaited; those are \['s9'\]"),
        (lambda s: s.note_run("x", "run"), "'x' is not a candidate"),
        (lambda s: s.note_run("s9", ""), "the run of 's9' needs a uid"),
        (lambda s: s.note_run("s1", "run of s9"), "measures 's9', not 's1'"),
        (lambda s: s.name_of_run("lost"), "run 'lost' is unknown: say note_run"),
        (lambda s: s.suggest(0), "n_suggestions must be >= 1, got 0"),
    ],
)
def test_what_cannot_be_done_changes_nothing(act, message):
    selector = selector_with()
    selector.take("s9")
    selector.note_run("s9", "run of s9")
    before = selector.state()
    with pytest.raises(SelectionError, match=message):
        act(selector)
    assert selector.state() == before


@pytest.mark.parametrize(
    ("candidates", "axes", "message"),
    [
        ([], (), "got no candidates"),
        ([LINE[0], LINE[0]], (), r"got \['s0'\]"),
        ([LINE[0], Candidate("x")], (), r"needs as many coordinates, got \[0, 1\]"),
        (
            LINE,
            (Axis("x"), Axis("y")),
            r"every candidate needs 2 coordinates, got \[1\]",
        ),
        ([Candidate("x", (np.nan,))], (), "of 'x' must be finite"),
        ([Candidate("x", (1e308,))], (), "of 'x' must be finite, to 1e"),
        ([Candidate("x", exposure=-1.0)], (), r"seconds >= 0, to 1e\+100, got -1.0"),
        ([Candidate("x", exposure=1e101)], (), r"to 1e\+100, got 1e\+101"),
        (LINE, (Axis("x", 20.0, 30.0),), "no candidate lies inside the limits"),
        (LINE, (Axis("x", is_log=True),), "needs values > 0, got 0.0"),
        (
            [Candidate("a", (1.0, 2.0))],
            (Axis("x"), Axis("x")),
            r"names of their own, got \['x', 'x'\]",
        ),
    ],
)
def test_candidates_that_do_not_fit_are_named(candidates, axes, message):
    with pytest.raises(SelectionError, match=message):
        selector_with(None, candidates, axes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length_scales": ()}, r"got \(\)"),
        ({"length_scales": (0.1, np.nan)}, "nan"),
        ({"max_remeasures": -1}, "must be 0 or more, got -1"),
        ({"cost_weight": 2.0}, "within 0 to 1, got 2.0"),
        ({"random_state": -1}, "random_state must be 0 or more, got -1"),
    ],
)
def test_settings_out_of_bounds_are_named(settings, message):
    with pytest.raises(SelectionError, match=message):
        SelectorSettings(**settings)


@pytest.mark.parametrize("vocabulary", [(), ("aging", "aging")])
def test_a_vocabulary_needs_words_that_differ(vocabulary):
    with pytest.raises(SelectionError, match="words that differ"):
        StrategySelector(LINE, Novelty(), vocabulary=vocabulary)


# The rest


def test_a_selector_can_be_resumed():
    assert isinstance(selector_with(), ResumableSelector)


def test_the_map_of_expected_labels_has_every_candidate():
    selector = selector_with()
    selector.ingest(
        [seen(f"s{n}", "aging" if n < 5 else "static") for n in (0, 3, 7, 10)]
    )
    labels = [label for label, _ in selector.expected_labels().values()]
    assert labels == ["aging"] * 5 + ["static"] * 6 or labels == (
        ["aging"] * 6 + ["static"] * 5
    )


def test_numpy_numbers_and_label_members_are_kept_as_plain_values():
    selector = selector_with()
    row = {label: np.float32(1 / len(DYNAMICS)) for label in DYNAMICS}
    physics = {"relaxation_rate": np.float32(2.0), "alpha": None, "model": "KWW"}
    selector.ingest(
        [Observation("s1", DYNAMICS[2], np.float32(0.9), 0.5, row, physics)]
    )
    assert selector.observations[0].physics == {"relaxation_rate": 2.0}
    assert type(selector.observations[0].label) is str
