import math

import pytest

from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.plans import AllLabelsSeen, Budget, LabelFound
from ainerd_bluesky.plans.limits import Spent
from ainerd_bluesky.selection import Observation
from ainerd_bluesky.vocabulary import DYNAMICS


def seen(*labels, confidence=0.9):
    return [
        Observation(f"s{i}", label, confidence, 0.1) for i, label in enumerate(labels)
    ]


@pytest.mark.parametrize(
    ("goal", "observations", "is_reached"),
    [
        (LabelFound("aging"), [], False),
        (LabelFound("aging"), seen("static", "aging"), True),
        (LabelFound("aging", 2), seen("static", "aging"), False),
        (LabelFound("aging", 1, 0.95), seen("aging"), False),
        (AllLabelsSeen(["aging", "static"]), seen("aging", "aging"), False),
        (AllLabelsSeen(["aging", "static"]), seen("aging", "static", "foam"), True),
        (AllLabelsSeen(), seen(*DYNAMICS), True),
        (AllLabelsSeen(), seen(*DYNAMICS[1:]), False),
        (AllLabelsSeen(), seen(*(w for w in DYNAMICS if w != "no-signal")), True),
    ],
)
def test_a_goal_counts_what_was_found(goal, observations, is_reached):
    assert goal(observations) is is_reached


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LabelFound("aging", 0), "n_times >= 1"),
        (lambda: LabelFound(""), "needs a label"),
        (lambda: LabelFound("aging", min_confidence=math.nan), "within 0 to 1"),
        (lambda: AllLabelsSeen("aging"), "needs a list of labels, got 'aging'"),
        (lambda: AllLabelsSeen([]), r"got \[\]"),
        (lambda: AllLabelsSeen(["aging"], 2.0), "within 0 to 1, got 2.0"),
    ],
)
def test_a_goal_that_cannot_be_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_time_that_is_left_becomes_less():
    spent = Spent()
    assert 9.0 < spent.seconds_left(Budget(max_time=10.0)) <= 10.0
    assert spent.seconds_left(Budget()) == math.inf


def test_ten_scans_of_a_tenth_fit_into_a_second():
    spent = Spent()
    for _ in range(10):
        assert spent.why_stop(Budget(max_beam_time=1.0), 0.1) == ""
        spent.book(0.1)
    assert "1 of 1 s of beam are used" in spent.why_stop(Budget(max_beam_time=1.0), 0.1)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (Budget(max_scans=3), "3 of 3 scans are done"),
        (Budget(max_beam_time=7.0), "6 of 7 s of beam are used, and a scan takes 2 s"),
        (Budget(max_time=0.0), "0 s have passed"),
        (Budget(), ""),
    ],
    ids=str,
)
def test_a_budget_says_why_it_ends_a_series(budget, message):
    assert Spent(3, 6.0).why_stop(budget, 2.0) == message


@pytest.mark.parametrize(
    "limits", [{"max_scans": -1}, {"max_beam_time": math.nan}, {"max_time": -1.0}]
)
def test_a_budget_that_cannot_be_is_refused(limits):
    with pytest.raises(ConfigError, match="a budget needs limits >= 0"):
        Budget(**limits)
