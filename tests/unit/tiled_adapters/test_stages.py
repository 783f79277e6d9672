"""Stages follow from histories: at most one version is in production."""

from datetime import UTC, datetime, timedelta

import pytest

from ainerd_bluesky.errors import ModelError
from tiled_adapters.stages import (
    ModelVersion,
    describe_stages,
    in_production,
    next_time,
    pick_version,
    settle,
)


def at(minute):
    return f"2026-01-01T00:{minute:02d}:00.000000+00:00"


def change(stage, minute, replaces=None):
    return {
        "stage": stage,
        "who": "me",
        "when": at(minute),
        "why": "so",
        "replaces": replaces,
    }


def version(name, *changes):
    metadata = {"history": list(changes), "card": {"sha256": name * 8}}
    return ModelVersion.from_metadata("m", name, metadata)


REGISTERED = version("1.0", change("candidate", 1))
OLD = version("1.1", change("candidate", 2), change("production", 5))
NEW = version("1.2", change("candidate", 3), change("production", 6, "1.1"))


def test_the_latest_change_is_the_stage_in_whatever_order_they_arrived():
    late = version("1.0", change("production", 9), change("retired", 4))
    assert (late.stage, late.since) == ("production", at(9))


def test_of_two_in_production_the_last_one_counts():
    assert in_production([NEW, OLD, REGISTERED]) is NEW


def test_none_is_in_production_among_candidates():
    assert in_production([REGISTERED]) is None


def test_settled_versions_come_in_the_order_of_registration_with_one_in_production():
    settled = settle([NEW, REGISTERED, OLD])
    assert [(item.version, item.stage) for item in settled] == [
        ("1.0", "candidate"),
        ("1.1", "retired"),
        ("1.2", "production"),
    ]


def test_two_promotions_of_one_moment_give_the_same_one_to_everybody():
    twins = [version(name, change("production", 5)) for name in ("1.0", "1.1")]
    assert in_production(twins).version == in_production(twins[::-1]).version == "1.1"


def test_a_version_knows_which_one_it_replaced():
    assert (REGISTERED.replaced, OLD.replaced, NEW.replaced) == (None, None, "1.1")


def test_the_time_of_a_change_is_now():
    assert abs(datetime.fromisoformat(next_time([])) - datetime.now(UTC)) < timedelta(
        minutes=1
    )


def test_the_time_of_a_change_is_later_than_all_others_whatever_the_clocks_say():
    ahead = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="microseconds")
    other = version("1.0", {**change("candidate", 1), "when": ahead})
    times = [next_time([other]), ahead]
    assert times == sorted(times, reverse=True)
    assert times[0] != times[1]


def test_a_version_that_is_not_there_is_refused_with_those_that_are():
    assert pick_version([OLD, NEW], "m", "1.2") is NEW
    text = r"m has no version '2', only 1\.1 \(retired\), 1\.2 \(production\)"
    with pytest.raises(ModelError, match=text):
        pick_version([OLD, NEW], "m", "2")
    assert describe_stages([]) == "no version at all"
