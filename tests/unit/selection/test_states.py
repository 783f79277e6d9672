"""A state goes on where it was saved, and replays to the same decisions."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection import (
    Axis,
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
    load_selector,
    replay,
)

NAMES = [f"s{n}" for n in range(9)]
PLANE = [
    Candidate(name, (float(n % 3), 10.0 ** (n // 3)), exposure=5.0)
    for n, name in enumerate(NAMES)
]
AXES = [
    Axis("temperature", 0.0, 2.0, seconds_per_unit=30.0, settle=5.0),
    Axis("shear rate", is_log=True),
]
EVERYTHING = Turns(
    (
        Novelty(0.5),
        Uncertainty(),
        WantedLabel({"aging": 2.0, "gel": 1.0}),
        WantedProperty("relaxation_rate", 3.0, 0.2, is_log=True),
        Blend((Boundary(0.5), Coverage()), (2.0, 1.0)),
        Turns((RareLabel(0.02), Chance()), (3.0, 1.0)),
        Remeasure(),
    ),
    (1.0, 1.0, 2.0, 1.0, 1.0, 2.0, 1.0),
)


def fresh():
    return StrategySelector(
        PLANE,
        EVERYTHING,
        axes=AXES,
        vocabulary=["aging", "static", "gel"],
        settings=SelectorSettings((0.1, 0.3), max_remeasures=2, random_state=4),
    )


def observation(name, label, novelty, rate, run_uid):
    probabilities = {} if label == "invalid" else {label: 0.8}
    physics = {} if rate is None else {"relaxation_rate": rate}
    return Observation(name, label, 0.8, novelty, probabilities, physics, run_uid)


def plain(selector):
    return json.loads(json.dumps(selector.state(), allow_nan=False))


def busy():
    """Return a selector to which everything happened that can."""
    selector = fresh()
    first, second, third = (s.candidate.name for s in selector.suggest(3))
    selector.note_run(first, "run 1")
    selector.ingest([observation(first, "aging", 0.2, 3.0, "run 1")])
    selector.ingest([observation(second, "invalid", 1.0, None, "run 2")])
    selector.release(third, is_tried=False)
    selector.ingest([observation(first, "gel", 0.9, None, "run 1")])
    selector.suggest(1)
    free = next(name for name in NAMES if name not in selector.pending)
    selector.take(free)
    selector.suggest(2)
    for name in (NAMES[0], NAMES[1]):
        selector.exclude(name, "too hot")
    selector.readmit(NAMES[0])
    return selector


steps = st.one_of(
    st.tuples(st.just("suggest"), st.integers(1, 3)),
    st.tuples(st.just("take"), st.sampled_from(NAMES)),
    st.tuples(st.just("release"), st.sampled_from(NAMES)),
    st.tuples(st.just("exclude"), st.sampled_from(NAMES), st.just("too hot")),
    st.tuples(st.just("readmit"), st.sampled_from(NAMES)),
    st.tuples(st.just("note_run"), st.sampled_from(NAMES), st.sampled_from("ABCD")),
    st.tuples(
        st.just("ingest"),
        st.builds(
            observation,
            st.sampled_from(NAMES),
            st.sampled_from(["aging", "static", "gel", "invalid", "no such word"]),
            st.floats(0, 1.2),
            st.one_of(st.none(), st.floats(1e-3, 1e3)),
            st.sampled_from(["", "", "A", "B", "C", "D"]),
        ),
    ),
)


def do(selector, step):
    """Take a step; what it may not, it must leave alone."""
    verb, *values = step
    before = selector.state_hash
    try:
        if verb == "ingest":
            selector.ingest(values)
            return []
        made = getattr(selector, verb)(*values)
        made = selector.taken[-1:] if verb == "take" else made or ()
        return [s.decision for s in made]
    except SelectionError:
        assert selector.state_hash == before
        return []


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=25))
def test_whatever_happens_the_state_replays_to_the_same_decisions(happenings):
    selector = fresh()
    decisions = [decision for step in happenings for decision in do(selector, step)]
    state = plain(selector)
    assert replay(state) == decisions
    other = load_selector(state)
    assert other.state_hash == selector.state_hash
    assert other.pending == selector.pending
    assert other.observations == selector.observations
    assert other.suggest(2) == selector.suggest(2)


def test_a_loaded_selector_has_the_same_state():
    selector = busy()
    assert plain(load_selector(plain(selector))) == plain(selector)
    assert load_selector(plain(selector)).report() == selector.report()


def test_a_loaded_selector_goes_on_alike():
    selector = busy()
    other = load_selector(plain(selector))
    for _ in range(4):
        ours, theirs = selector.suggest(), other.suggest()
        assert ours == theirs
        for each, found in ((selector, ours), (other, theirs)):
            each.ingest(
                [observation(s.candidate.name, "static", 0.1, 1.0, "") for s in found]
            )
    assert other.state_hash == selector.state_hash


def test_a_run_is_known_after_a_crash():
    assert load_selector(plain(busy())).name_of_run("run 1") in NAMES


def test_what_a_person_took_is_a_decision_of_that_person():
    selector = fresh()
    before = selector.state_hash
    selector.take("s4")
    [taken] = selector.taken
    [found] = selector.suggest()
    assert replay(selector.state()) == [taken.decision, found.decision]
    assert (taken.decision.number, found.decision.number) == (0, 1)
    assert (taken.decision.strategy, taken.decision.state_hash) == ("operator", before)
    assert taken.reason == "s4: the operator chose it, 5 s to get there and measure."
    assert taken.decision.coordinates == {"temperature": 1.0, "shear rate": 10.0}


def test_each_decision_has_a_key_of_its_own():
    decisions = replay(busy().state())
    assert len({decision.key for decision in decisions}) == len(decisions) == 7


def changed(change):
    state = copy.deepcopy(busy().state())
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["events"].pop(), "does not fit its hash"),
        (lambda s: s["events"][0].update(name="s8"), "does not fit its hash"),
        (lambda s: s["candidates"][0].update(exposure=9.0), "changed or cut off"),
        (lambda s: s.update(state_hash="0"), "fit its hash '0'"),
        (lambda s: s.update(format_version=99), "has format 99, this version reads 1"),
        (lambda s: s.pop("format_version"), "not the state .*'format_version'"),
        (lambda s: s.pop("events"), "not the state of a selector: KeyError"),
        (lambda s: s.update(events=None), "not the state of a selector: TypeError"),
    ],
)
@pytest.mark.parametrize("read", [load_selector, replay])
def test_a_changed_or_unknown_state_is_refused(change, message, read):
    with pytest.raises(SelectionError, match=message):
        read(changed(change))


def forged(change):
    """Return a changed state with a hash that fits."""
    from ainerd_bluesky.selection.history import hash_of_state

    state = changed(change)
    header = {k: v for k, v in state.items() if k not in {"events", "state_hash"}}
    return state | {"state_hash": hash_of_state(header, state["events"])}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s["strategy"].update(kind="Magic"),
            "'Magic' is no strategy of this",
        ),
        (lambda s: s["strategy"].update(power=2), "not a strategy"),
        (lambda s: s["events"].append({"event": "dance"}), "unknown event 'dance'"),
        (lambda s: s["events"].append({"event": "take"}), "not an event: .*KeyError"),
        (lambda s: s["events"].append({"name": "s1"}), "not an event: .*KeyError"),
        (lambda s: s["candidates"].clear(), "got no candidates"),
    ],
)
def test_a_state_of_another_version_is_named(change, message):
    with pytest.raises(SelectionError, match=message):
        load_selector(forged(change))


def test_a_decision_that_comes_out_differently_is_named():
    def swap(state):
        suggested = [e for e in state["events"] if e["event"] == "suggest"]
        suggested[0]["strategy"] = "novelty of old"

    with pytest.raises(SelectionError, match="by 'novelty of old' and is now"):
        replay(forged(swap))
