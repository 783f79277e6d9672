import numpy as np
import pytest

from ainerd_bluesky.ml.association import Dynamics, associate
from ainerd_bluesky.xpcs.lags.one_time import g2_from_two_time
from ainerd_bluesky.xpcs.simulate.rheology import simulate_rheology


@pytest.fixture(scope="module")
def rheology():
    return simulate_rheology(50, seed=1)


def test_rate_is_proportional_to_the_stress_of_the_time(rheology):
    stress = rheology.steps["shear_stress"][rheology.times.astype(int)]
    np.testing.assert_allclose(rheology.relaxation_rate, stress / 2000.0)
    np.testing.assert_array_equal(rheology.steps["time"][:3], [0, 1, 2])
    assert rheology.two_time.shape == (50, 96, 96)


def test_same_seed_gives_the_same_experiment(rheology):
    again = simulate_rheology(50, seed=1)
    np.testing.assert_array_equal(again.two_time, rheology.two_time)
    other = simulate_rheology(50, seed=2)
    assert not np.array_equal(other.two_time, rheology.two_time)


def test_stress_goes_with_the_measured_decay_and_the_weather_does_not(rheology):
    g2 = np.stack([g2_from_two_time(one) for one in rheology.two_time])[:, :20]
    dynamics = Dynamics(
        labels=np.full(50, "stationary"),
        fingerprints=g2,
        physics={"decay": g2[:, 0] - g2[:, 9]},
        groups=np.zeros(50),
        times=rheology.times,
    )
    steps = rheology.times.astype(int)
    properties = {
        name: rheology.steps[name][steps]
        for name in ("shear_stress", "room_temperature")
    }
    report = associate(dynamics, properties)
    ridge = {one.name: one for one in report.associations if one.measure == "ridge"}
    assert ridge["shear_stress"].is_found
    assert ridge["shear_stress"].value > 0.7
    assert not any(one.is_found for one in report.of("room_temperature"))
