import json

import numpy as np
import pytest
from scipy.stats import kstest

from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.ml.association import Dynamics, associate
from ainerd_bluesky.ml.exchange import Exchange


def make_dynamics(rng, rate, *, groups=None, times=None):
    """Dynamics that follow a rate: physics, label and a noisy fingerprint."""
    n_rows = len(rate)
    fingerprints = 0.3 * rng.standard_normal((n_rows, 5))
    fingerprints[:, 0] += rate
    return Dynamics(
        labels=np.where(rate > 0, "aging", "static"),
        fingerprints=fingerprints,
        physics={
            "relaxation_rate": rate + 0.1 * rng.standard_normal(n_rows),
            "alpha": rng.standard_normal(n_rows),
        },
        groups=np.arange(n_rows) if groups is None else groups,
        times=times,
    )


@pytest.fixture
def report(rng):
    """Stress drives the rate of 40 runs, temperature drives nothing."""
    rate = rng.standard_normal(40)
    stress = 100 * rate + 10 * rng.standard_normal(40)
    properties = {"stress": stress, "temperature": rng.standard_normal(40)}
    return associate(make_dynamics(rng, rate), properties, n_permutations=199)


def found(report, name):
    return {(one.dynamics, one.measure) for one in report.of(name) if one.is_found}


def test_property_that_drives_the_dynamics_is_found(report):
    assert found(report, "stress") == {
        ("relaxation_rate", "spearman"),
        ("relaxation_rate", "kendall"),
        ("label", "mutual_information"),
        ("fingerprint", "ridge"),
        ("fingerprint", "neighbours"),
    }
    values = {(one.dynamics, one.measure): one.value for one in report.of("stress")}
    assert values["relaxation_rate", "spearman"] > 0.95
    assert values["fingerprint", "ridge"] > 0.7


def test_property_that_drives_nothing_is_not(report):
    assert found(report, "temperature") == set()
    assert report.sentence("temperature") == (
        "temperature: nothing found that goes with it"
    )


def test_sentence_tells_the_directions(rng):
    rate = rng.standard_normal(40)
    report = associate(make_dynamics(rng, rate), {"age": -rate}, n_permutations=99)
    sentence = report.sentence("age")
    assert "falls with relaxation_rate (rank correlation -0.9" in sentence
    assert "the label tells" in sentence
    assert "of its variance" in sentence


def test_p_values_are_what_they_claim(report):
    for answer in report.associations:
        assert 1 / 200 <= answer.p_value <= answer.p_adjusted <= 1
        assert (answer.n_rows, answer.exchange) == (40, "groups")
    assert min(one.p_value for one in report.associations) == pytest.approx(1 / 200)


@pytest.mark.slow
def test_nothing_is_rarely_found_in_noise(rng):
    smallest = []
    for seed in range(180):
        dynamics = make_dynamics(rng, rng.standard_normal(20))
        noise = {"noise": rng.standard_normal(20)}
        answers = associate(dynamics, noise, n_permutations=99, random_state=seed)
        smallest.append(min(one.p_adjusted for one in answers.associations))
    assert np.mean(np.array(smallest) < 0.05) <= 0.1
    # The best of all answers, adjusted for having been chosen, is uniform again.
    assert kstest(smallest, "uniform").pvalue > 0.01


def wandering(rng, n_rows):
    """A series that remembers itself over some ten steps."""
    series = rng.standard_normal(n_rows)
    for step in range(1, n_rows):
        series[step] = 0.9 * series[step - 1] + 0.44 * series[step]
    return series


@pytest.mark.parametrize(
    ("exchange", "low", "high"),
    [
        pytest.param(None, 0, 6, id="as suits them"),
        pytest.param(Exchange.GROUPS, 9, 30, id="freely", marks=pytest.mark.slow),
    ],
)
def test_runs_without_samples_are_not_independent(rng, exchange, low, high):
    """Of 30 properties that wander by themselves few are found, unless freed."""
    n_found = 0
    for seed in range(30):
        dynamics = make_dynamics(rng, wandering(rng, 40), times=np.arange(40.0))
        report = associate(
            dynamics,
            {"humidity": wandering(rng, 40)},
            exchange=exchange,
            n_permutations=99,
            random_state=seed,
        )
        n_found += bool(found(report, "humidity"))
    assert low <= n_found <= high


def test_only_some_of_very_many_runs_are_compared(rng):
    n_rows = 5000
    rate = rng.standard_normal(n_rows)
    dynamics = make_dynamics(rng, rate)
    report = associate(dynamics, {"stress": rate}, n_permutations=99)
    (remark,) = report.remarks
    assert remark == "stress: 4000 of 5000 runs, drawn by chance, are compared"
    assert {one.n_rows for one in report.associations} == {4000}
    assert ("fingerprint", "neighbours") in found(report, "stress")
    (prediction,) = report.predictions
    np.testing.assert_array_equal(prediction.measured, rate[prediction.rows])


def test_same_seed_gives_the_same_report(rng):
    rate = rng.standard_normal(30)
    dynamics, noise = make_dynamics(rng, rate), {"noise": rng.standard_normal(30)}
    first, again = (
        associate(dynamics, noise, n_permutations=99, random_state=4) for _ in range(2)
    )
    assert first.associations == again.associations


def test_samples_count_once_where_they_share_the_property(rng):
    samples = np.repeat(np.arange(10), 8)
    rate = rng.standard_normal(10)[samples]
    dynamics = make_dynamics(rng, rate, groups=samples, times=np.arange(80.0))
    of_samples = rng.standard_normal(10)[samples]
    report = associate(dynamics, {"thickness": of_samples}, n_permutations=199)
    assert found(report, "thickness") == set()
    assert {(one.n_rows, one.n_groups) for one in report.associations} == {(80, 10)}


def test_time_steps_are_shifted_along_time(rng):
    rate = np.sin(np.arange(40) * 0.9) + 0.2 * rng.standard_normal(40)
    dynamics = make_dynamics(rng, rate, groups=np.zeros(40), times=np.arange(40.0))
    report = associate(dynamics, {"stress": rate})
    assert {one.exchange for one in report.associations} == {"time"}
    assert min(one.p_value for one in report.associations) == pytest.approx(1 / 40)
    assert ("fingerprint", "ridge") in found(report, "stress")


@pytest.mark.parametrize(
    ("groups", "exchange"),
    [(np.zeros(40), "time"), (np.arange(40), "time"), (np.arange(40) // 2, "groups")],
    ids=["a process", "no samples", "samples"],
)
def test_property_that_follows_time_is_remarked(rng, groups, exchange):
    times = np.arange(40.0)
    dynamics = make_dynamics(rng, rng.standard_normal(40), groups=groups, times=times)
    dose = (times // 2) ** 2 if exchange == "groups" else times**2
    report = associate(dynamics, {"dose": dose}, n_permutations=99)
    assert {one.exchange for one in report.associations} == {exchange}
    (remark,) = report.remarks
    assert remark.startswith("dose follows time (rank correlation 1.00)")


def test_runs_of_unknown_time_are_remarked(rng):
    times = np.where(np.arange(20) < 3, np.nan, np.arange(20.0))
    dynamics = make_dynamics(rng, rng.standard_normal(20), times=times)
    report = associate(dynamics, {"ph": rng.standard_normal(20)}, n_permutations=99)
    assert report.remarks == (
        "ph: 3 of 20 runs do not tell when they were started, so all are taken for "
        "independent",
    )


@pytest.mark.parametrize(
    ("n_samples", "n_properties", "message"),
    [
        (3, 1, "so few independent observations give no adjusted p-value below 0.17"),
        (15, 6, "so few permutations give no adjusted p-value below 0.06"),
    ],
    ids=["samples", "permutations"],
)
def test_answers_that_cannot_count_are_remarked(rng, n_samples, n_properties, message):
    samples = np.repeat(np.arange(n_samples), 5)
    rate = rng.standard_normal(len(samples))
    properties = {f"ph{i}": samples.astype(float) for i in range(n_properties)}
    dynamics = make_dynamics(rng, rate, groups=samples)
    report = associate(dynamics, properties, n_permutations=99)
    assert report.remarks[0] == f"ph0: {message}, whatever they show"
    assert len(report.remarks) == n_properties


def test_unknown_values_are_left_out(rng):
    rate = rng.standard_normal(30)
    dynamics = make_dynamics(rng, rate)
    dynamics.fingerprints[:4] = np.nan
    dynamics.physics["alpha"][:25] = np.nan
    dynamics.labels[:2] = ""
    stress = np.where(np.arange(30) < 28, rate, np.nan)
    report = associate(dynamics, {"stress": stress}, n_permutations=99)
    n_rows = {one.dynamics: one.n_rows for one in report.associations}
    assert n_rows == {"relaxation_rate": 28, "label": 26, "fingerprint": 24}
    (prediction,) = report.predictions
    np.testing.assert_array_equal(prediction.rows, np.arange(4, 28))
    np.testing.assert_array_equal(prediction.measured, rate[4:28])


@pytest.mark.parametrize(
    ("values", "exchange", "message"),
    [
        (
            np.r_[np.arange(7.0), np.full(13, np.nan)],
            None,
            "known for 7 runs; it takes",
        ),
        (np.full(20, 3.5), None, r"is 3\.5 in all 20 runs: nothing can go with it"),
        (np.arange(20.0), Exchange.GROUPS, "differs within groups"),
        (np.arange(20.0), Exchange.TIME, "not every row has one"),
    ],
    ids=["too few", "constant", "groups that differ", "no times"],
)
def test_property_that_cannot_be_used(rng, values, exchange, message):
    dynamics = make_dynamics(rng, rng.standard_normal(20), groups=np.arange(20) // 2)
    with pytest.raises(ConfigError, match=message):
        associate(dynamics, {"stress": values}, exchange=exchange, n_permutations=99)


def test_report_is_json(report):
    document = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert document["n_permutations"] == 199
    assert len(document["associations"]) == len(report.associations)
    assert document["associations"][0]["name"] == "stress"
