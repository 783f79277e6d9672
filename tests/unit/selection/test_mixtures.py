"""Strategies in turns and as one sum."""

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection import (
    Blend,
    Candidate,
    Chance,
    Coverage,
    Novelty,
    Observation,
    Remeasure,
    SelectorSettings,
    Strategy,
    StrategySelector,
    Turns,
    WantedLabel,
)

GRID = [Candidate(f"{x} {y}", (x, y)) for x in range(10) for y in range(10)]
AGAIN = SelectorSettings(max_remeasures=3)


@dataclass(frozen=True)
class Fixed(Strategy):
    """Scores that were given."""

    scores: str
    name: ClassVar[str] = "fixed"

    def score(self, situation):
        return np.array(self.scores.split(), dtype=float)

    def tell(self, situation, index):
        return "given"


def seen(name, label="aging"):
    return Observation(name, label, 0.9, 0.2, {label: 0.9})


def strategies_used(strategy, n_scans, answer=seen):
    selector = StrategySelector(GRID, strategy, settings=AGAIN)
    used = Counter()
    for _ in range(n_scans):
        [suggestion] = selector.suggest()
        used[suggestion.strategy] += 1
        selector.ingest([answer(suggestion.candidate.name)])
    return used


def test_turns_are_taken_as_often_as_the_weights_say():
    turns = Turns((Novelty(), Coverage(), Chance()), (0.7, 0.2, 0.1))
    assert strategies_used(turns, 50) == {"novelty": 35, "coverage": 10, "chance": 5}


def test_turns_among_turns_share_the_turns_of_their_parent():
    inner = Turns((Coverage(), Chance()), (1.0, 1.0))
    used = strategies_used(Turns((Novelty(), inner), (1.0, 1.0)), 40)
    assert used == {"novelty": 20, "coverage": 10, "chance": 10}


def test_who_has_no_answer_misses_the_turn():
    turns = Turns((Remeasure(), Novelty()), (1.0, 1.0))
    assert strategies_used(turns, 20) == {"novelty": 20}


def test_what_was_refused_gets_its_turn():
    n_scans = Counter()

    def refuse_once(name):
        n_scans[name] += 1
        if n_scans[name] == 1:
            return Observation(name, "invalid", 1.0, 1.0)
        return seen(name)

    turns = Turns((Remeasure(), Coverage()), (1.0, 1.0))
    used = strategies_used(turns, 40, refuse_once)
    assert used == {"coverage": 20, "remeasure": 20}
    assert sorted(n_scans.values()) == [2] * 20


def test_a_blend_finds_what_both_parts_want():
    # s1 is best by the first alone, s3 by the second alone, s2 by their sum.
    line = [Candidate(f"s{n}") for n in range(4)]
    blend = Blend((Fixed("0.0 1.0 0.8 0.0"), Other("0.0 0.0 8.0 9.0")), (1.0, 1.0))
    [found] = StrategySelector(line, blend).suggest()
    assert found.candidate.name == "s2"


def test_the_weight_of_a_blend_decides():
    line = [Candidate(f"s{n}") for n in range(3)]
    parts = (Fixed("0.0 1.0 0.0"), Other("0.0 0.0 9.0"))
    for weights, name in (((2.0, 1.0), "s1"), ((1.0, 2.0), "s2")):
        [found] = StrategySelector(line, Blend(parts, weights)).suggest()
        assert found.candidate.name == name


def test_a_blend_tells_what_counts_most_first():
    selector = StrategySelector(
        GRID, Blend((WantedLabel({"aging": 1.0}), Coverage()), (5.0, 1.0))
    )
    selector.ingest([seen("3 3"), seen("8 8", "static")])
    reason = selector.suggest()[0].reason
    assert reason.index("aging expected") < reason.index("of the range away")


@dataclass(frozen=True)
class Other(Fixed):
    """A second one, with a name of its own."""

    name: ClassVar[str] = "other"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0])
@pytest.mark.parametrize("mix", [lambda s: s, lambda s: Turns((s,), (1.0,))])
def test_a_score_that_is_no_number_never_wins(value, mix):
    line = [Candidate(f"s{n}") for n in range(3)]
    selector = StrategySelector(line, mix(Fixed(f"0.5 {value} 0.2")))
    before = selector.state()
    with pytest.raises(SelectionError, match=rf"'fixed' gave 1 of 3 .* {value}: "):
        selector.suggest()
    assert selector.state() == before
    assert selector.n_left == 3


def test_a_score_of_what_is_not_free_is_never_looked_at():
    line = [Candidate(f"s{n}") for n in range(3)]
    selector = StrategySelector(line, Fixed("0.5 nan 0.2"))
    selector.ingest([seen("s1")])
    assert selector.suggest()[0].candidate.name == "s0"


def test_a_blend_hides_no_score_that_is_no_number():
    line = [Candidate(f"s{n}") for n in range(3)]
    blend = Blend((Fixed("0.5 nan 0.2"), Coverage()), (1.0, 1.0))
    with pytest.raises(
        SelectionError, match=r"finite and >= 0, to 1e\+100; nothing was chosen"
    ):
        StrategySelector(line, blend).suggest()


def test_tiny_scores_are_told_apart():
    line = [Candidate(f"s{n}") for n in range(3)]
    selector = StrategySelector(line, Fixed("1e-14 3e-14 2e-14"))
    assert [s.candidate.name for s in selector.suggest(3)] == ["s1", "s2", "s0"]
