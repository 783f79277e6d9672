import json

import numpy as np
import pytest
from scipy.stats import binom

from ainerd_bluesky.errors import FingerprintError
from ainerd_bluesky.ml.drift import (
    DriftReport,
    drift_report,
    novelty_tests,
    outlier_test,
    shift_test,
)


def cloud(n, seed, shift=0.0, n_components=6):
    Z = np.random.default_rng(seed).normal(size=(n, n_components))
    Z[:, 0] += shift
    return Z


def test_alarm_is_raised_as_rarely_as_it_should_be():
    reports = [
        drift_report(
            cloud(60, seed),
            cloud(12, 1000 + seed),
            novelty=np.split(np.random.default_rng(seed).random(72), [60]),
            alpha=0.1,
            n_permutations=199,
        )
        for seed in range(200)
    ]

    n_alarms = sum(report.is_drift for report in reports)

    assert n_alarms <= binom.ppf(0.999, 200, 0.1)


def test_p_of_the_shift_is_even_without_drift():
    rng = np.random.default_rng(0)
    p_values = [
        shift_test(cloud(40, seed), cloud(20, 1000 + seed), 99, rng).p_value
        for seed in range(200)
    ]

    # standard error of a mean of 200 even numbers: 0.02
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.08)
    assert np.mean(np.array(p_values) <= 0.1) == pytest.approx(0.1, abs=0.07)


def test_moved_runs_are_a_shift():
    report = drift_report(cloud(100, 0), cloud(30, 1, shift=1.5))

    assert report.is_drift
    assert {test.name for test in report.drifted} >= {"shift"}
    assert "the mix of dynamics has moved" in report.sentence


def test_one_new_kind_among_many_old_runs_is_found_as_outliers():
    incoming = np.concatenate([cloud(45, 1), cloud(5, 2, shift=12.0)])

    (test,) = (
        test
        for test in drift_report(cloud(200, 0), incoming).drifted
        if test.name == "outliers"
    )

    assert test.value == pytest.approx(0.1, abs=0.03)
    assert "of 50 incoming runs" in test.sentence


def test_repeats_of_one_scan_do_not_hide_each_other():
    # Each known run was taken twice: its nearest neighbour says nothing.
    known = np.repeat(cloud(50, 0), 2, axis=0)

    assert not drift_report(known, cloud(30, 1)).is_drift


@pytest.mark.parametrize(
    ("n_novel", "is_rare"), [(0, False), (1, False), (5, True), (50, True)]
)
def test_novel_runs_are_counted(n_novel, is_rare):
    novelty = np.r_[np.ones(n_novel), np.full(50 - n_novel, 0.5), np.nan]

    (test,) = novelty_tests((), novelty)

    assert test.value == n_novel / 50
    assert test.p_value == pytest.approx(binom.sf(n_novel - 1, 50, 0.01))
    assert (test.p_value < 0.01) == is_rare


def run_novelties(rng, n_runs, n_q_bins, share):
    """Draw the novelty of runs whose q-bins share a part of theirs."""
    own = rng.random((n_runs, n_q_bins))
    return np.where(rng.random((n_runs, 1)) < share, own[:, :1], own).mean(axis=1)


@pytest.mark.parametrize("n_known", [0, 100, 1000])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_novelty_raises_the_alarm_as_rarely_as_it_should(n_known, share):
    rng = np.random.default_rng(0)

    p_values = [
        novelty_tests(
            run_novelties(rng, n_known, 6, share), run_novelties(rng, 100, 6, share)
        )[0].p_value
        for _ in range(300)
    ]

    assert np.sum(np.array(p_values) < 0.05) <= binom.ppf(0.999, 300, 0.05)


def test_runs_more_novel_than_the_known_ones_are_found_below_any_fixed_limit():
    rng = np.random.default_rng(0)
    known = run_novelties(rng, 500, 6, 0.0)
    novelty = np.r_[np.full(8, 0.93), run_novelties(rng, 42, 6, 0.0)]

    (test,) = novelty_tests(known, novelty)

    assert test.p_value < 1e-4
    assert "more so than 99% of the known ones" in test.sentence
    assert novelty_tests((), novelty)[0].value == 0


@pytest.mark.parametrize("unknown", [(), np.full(3, np.nan)], ids=["none", "nan"])
def test_unknown_novelty_is_no_test(unknown):
    assert novelty_tests(np.ones(30), unknown) == []
    names = [
        test.name
        for test in drift_report(cloud(30, 0), cloud(3, 1), novelty=((), unknown)).tests
    ]
    assert names == ["outliers", "shift"]


def test_nothing_to_compare_with_is_no_verdict():
    report = DriftReport(0, 4, (), 0.01)
    assert report.sentence == "Unknown: nothing to compare 4 runs with."


def test_share_beyond_is_told_with_the_limit_it_has():
    test = outlier_test(cloud(25, 0), cloud(10, 1, shift=50.0))

    assert test.value == 1.0
    assert test.expected == pytest.approx(1 / 26)
    assert test.sentence == (
        "10 of 10 incoming runs (100%) lie farther from the known ones than 96% of "
        "those do from each other"
    )


def test_same_seed_gives_the_same_report():
    first, second = (
        drift_report(cloud(1500, 0), cloud(40, 1), n_permutations=99) for _ in range(2)
    )
    assert first == second
    assert json.loads(json.dumps(first.as_dict()))["n_known"] == 1500


@pytest.mark.parametrize(
    ("novelty", "sentence"),
    [
        ((), "No drift: 40 incoming runs look like 80 known ones."),
        (
            np.full(40, 0.5),
            "No drift: 40 incoming runs look like 80 known ones and what the model was "
            "trained on.",
        ),
    ],
    ids=["known", "known-and-trained"],
)
def test_quiet_report_says_what_was_compared(novelty, sentence):
    report = drift_report(cloud(80, 0), cloud(40, 1), novelty=((), novelty))
    assert report.sentence == sentence


@pytest.mark.parametrize(
    ("known", "incoming", "message"),
    [
        (cloud(19, 0), cloud(5, 1), "needs 20 known fingerprints .* got 19"),
        (cloud(20, 0), cloud(0, 1), "got 20 and 0"),
        (cloud(20, 0), cloud(5, 1, n_components=3), "6 components, incoming ones 3"),
        (cloud(20, 0), np.full((1, 6), np.nan), "fingerprint 0 of 1 holds nan"),
    ],
    ids=["few-known", "none-came", "another-model", "nan"],
)
def test_what_cannot_be_compared_is_named(known, incoming, message):
    with pytest.raises(FingerprintError, match=message):
        drift_report(known, incoming)
