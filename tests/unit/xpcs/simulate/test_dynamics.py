import numpy as np
import pytest

from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.vocabulary import DYNAMICS, Label
from ainerd_bluesky.xpcs.simulate.dynamics import Dynamics, draw_dynamics, g1

TIME = np.linspace(0.0, 1.0, 150)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("label", DYNAMICS)
def test_g1_is_a_correlation(label, seed):
    dynamics = draw_dynamics(label, np.random.default_rng(seed))

    correlation = g1(dynamics, TIME, q_ratio=1.3)

    np.testing.assert_array_equal(correlation, correlation.T)
    np.testing.assert_allclose(np.diag(correlation), 1.0, atol=1e-6)
    assert correlation.dtype == np.float32
    assert correlation.min() >= 0.0
    # float32 rounding moves an eigenvalue of 150 frames by less than this
    assert np.linalg.eigvalsh(correlation.astype(np.float64))[0] > -2e-5


@pytest.mark.parametrize(
    "label", [label for label in DYNAMICS if label != Label.NO_SIGNAL]
)
def test_correlation_decays_faster_at_larger_q(label):
    dynamics = draw_dynamics(label, np.random.default_rng(1))

    assert (g1(dynamics, TIME, 2.0) <= g1(dynamics, TIME, 1.0) + 1e-6).all()


@pytest.mark.parametrize("q_ratio", [0.5, 1.0, 2.0])
def test_rate_goes_as_q_squared(q_ratio):
    at_q = g1(Dynamics(Label.STATIONARY, {"rate": 3.0, "alpha": 1.4}), TIME, q_ratio)
    faster = Dynamics(Label.STATIONARY, {"rate": 3.0 * q_ratio**2, "alpha": 1.4})

    np.testing.assert_allclose(at_q, g1(faster, TIME), rtol=1e-6)


@pytest.mark.parametrize("label", [Label.STATIC, Label.STATIONARY, Label.TWO_STEP])
def test_equilibrium_depends_on_delay_only(label):
    correlation = g1(draw_dynamics(label, np.random.default_rng(2)), TIME)

    for lag in (1, 20, 100):
        diagonal = np.diagonal(correlation, lag)
        np.testing.assert_allclose(diagonal, diagonal[0], atol=1e-5)


@pytest.mark.parametrize("exponent", [0.7, 1.0, 3.0])
def test_aging_slows_by_the_stated_factor(exponent):
    parameters = {"rate": 5.0, "slowing": 8.0, "exponent": exponent, "alpha": 1.0}
    time = np.linspace(0.0, 1.0, 2001)

    correlation = g1(Dynamics(Label.AGING, parameters), time)

    decays = -np.log(np.diagonal(correlation, 1).astype(np.float64))
    assert decays[0] / decays[-1] == pytest.approx(8.0, rel=0.02)
    assert decays[0] * 2000 == pytest.approx(5.0, rel=0.02)


def test_accelerating_is_aging_backwards():
    parameters = {"rate": 5.0, "slowing": 8.0, "exponent": 2.0, "alpha": 1.2}
    aging = g1(Dynamics(Label.AGING, parameters), TIME)
    accelerating = g1(Dynamics(Label.ACCELERATING, parameters), TIME)

    np.testing.assert_allclose(accelerating, aging[::-1, ::-1], atol=1e-6)


def test_event_takes_correlation_at_once():
    parameters = {"rate": 0.0, "events": (0.5,), "jumps": (1.0,), "alpha": 1.0}
    correlation = g1(Dynamics(Label.INTERMITTENT, parameters), TIME)

    assert correlation[10, 60] == pytest.approx(1.0, abs=1e-4)
    assert correlation[10, 90] == pytest.approx(np.exp(-1), abs=1e-4)


def test_transition_has_two_rates():
    parameters = {
        "first_rate": 2.0,
        "second_rate": 20.0,
        "change": 0.5,
        "width": 0.002,
        "alpha": 1.0,
    }
    correlation = g1(Dynamics(Label.TRANSITION, parameters), TIME)

    decays = -np.log(np.diagonal(correlation, 1)) * (len(TIME) - 1)
    assert decays[10] == pytest.approx(2.0, rel=0.01)
    assert decays[-10] == pytest.approx(20.0, rel=0.01)


@pytest.mark.parametrize("q_ratio", [0.5, 1.0])
def test_echo_comes_after_one_period_at_every_q(q_ratio):
    parameters = {"n_periods": 5.0, "depth": 2.0, "rate": 0.2, "alpha": 1.0}
    time = np.linspace(0.0, 1.0, 101)

    correlation = g1(Dynamics(Label.OSCILLATORY, parameters), time, q_ratio)

    assert correlation[0, 10:30].argmax() + 10 == 20


def test_two_steps_have_a_plateau():
    parameters = {
        "slow_rate": 0.01,
        "slow_alpha": 1.0,
        "fast_rate": 100.0,
        "fast_alpha": 1.0,
        "plateau": 0.6,
    }
    correlation = g1(Dynamics(Label.TWO_STEP, parameters), TIME)

    assert correlation[0, 75] == pytest.approx(0.6, abs=0.01)


def test_no_signal_is_uncorrelated():
    correlation = g1(Dynamics(Label.NO_SIGNAL, {}), TIME)

    np.testing.assert_array_equal(correlation, np.eye(len(TIME)))


@pytest.mark.parametrize("seed", range(20))
def test_static_keeps_nine_tenths_of_the_contrast(seed):
    dynamics = draw_dynamics(Label.STATIC, np.random.default_rng(seed))

    assert (g1(dynamics, TIME) ** 2).min() >= 0.9


@pytest.mark.parametrize("seed", range(20))
def test_stationary_loses_most_of_the_contrast(seed):
    dynamics = draw_dynamics(Label.STATIONARY, np.random.default_rng(seed))

    assert g1(dynamics, TIME)[0, -1] ** 2 < 0.2


@pytest.mark.parametrize("seed", range(20))
def test_intermittent_has_several_events(seed):
    parameters = draw_dynamics(
        Label.INTERMITTENT, np.random.default_rng(seed)
    ).parameters

    assert len(parameters["events"]) == len(parameters["jumps"]) >= 3
    assert np.diff((0.0, *parameters["events"], 1.0)).min() > 0.02


@pytest.mark.parametrize("label", DYNAMICS)
def test_same_seed_draws_the_same(label):
    first, second = (
        draw_dynamics(label, np.random.default_rng(7)).parameters for _ in range(2)
    )

    assert first == second


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: draw_dynamics(Label.INVALID, np.random.default_rng(0)),
        lambda: g1(Dynamics(Label.INVALID, {}), TIME),
    ],
    ids=["draw", "g1"],
)
def test_invalid_has_no_dynamics(attempt):
    with pytest.raises(ConfigError, match="'invalid'"):
        attempt()
