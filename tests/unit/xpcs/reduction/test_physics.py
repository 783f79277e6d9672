"""What is said about a run: at which q, and how it ages."""

from dataclasses import replace

import numpy as np
import pytest

from ainerd_bluesky.xpcs import RelaxationFit, reduce_maps
from ainerd_bluesky.xpcs.reduction.physics import describe_relaxation


def fit_with_rate(rate, *, is_trusted=True):
    return replace(
        RelaxationFit.unknown(),
        relaxation_rate=rate,
        relaxation_rate_err=0.1,
        is_trusted=is_trusted,
    )


@pytest.mark.parametrize(
    ("q_values", "phi_values", "untrusted", "expected"),
    [
        ([0.01, 0.02, 0.03, 0.04, 0.05], None, [], 2),
        ([0.05, 0.04, 0.01, 0.02, 0.03], None, [], 4),
        ([0.01, 0.02, 0.03, 0.04], None, [], 1),
        ([0.01, 0.02, 0.03, 0.06, 0.09], None, [2], 1),
        ([0.01, 0.02, 0.06, 0.07, 0.09], None, [2], 3),
        ([0.01, 0.02, 0.03], None, [0, 1, 2], None),
        (None, None, [1], 0),
        ([0.01, 0.02, 0.03, 0.02, 0.02], [np.nan] * 3 + [0, 90], [], 1),
        ([0.01, 0.01, 0.02, 0.02], [0, 90, 0, 90], [], 1),
    ],
    ids=[
        "middle",
        "unsorted",
        "even",
        "next-below",
        "next-above",
        "none",
        "no-q",
        "rings-and-sectors",
        "sectors",
    ],
)
def test_rate_is_told_at_the_middle_q(
    stationary_maps, q_values, phi_values, untrusted, expected
):
    n_q_bins = 3 if q_values is None else len(q_values)
    reduction = reduce_maps(
        stationary_maps(n_q_bins), q_values=q_values, phi_values=phi_values
    )
    fits = tuple(
        fit_with_rate(1.0 + index, is_trusted=index not in untrusted)
        for index in range(n_q_bins)
    )
    physics = describe_relaxation(replace(reduction, fits=fits))
    assert physics["bin_index"] == expected
    if expected is None:
        assert (physics["q"], physics["q_bin"]) == (None, None)
    else:
        assert physics["q_bin"] == expected + 1
        assert physics["relaxation_rate"] == 1.0 + expected


def test_aging_shows_in_the_rates(rng):
    warped = np.cumsum(0.3 / (1 + np.arange(200) / 20))
    noise = np.triu(0.01 * rng.standard_normal((200, 200)))
    clean = 1 + 0.3 * np.exp(-2 * np.abs(warped[:, None] - warped))
    reduction = reduce_maps(clean + noise + noise.T, frame_time=1.0)
    physics = describe_relaxation(reduction)
    assert physics["relaxation_rate_first"] > 2 * physics["relaxation_rate_last"]
    assert physics["aging_exponent"] > 0.4
    index, error = (physics[f"non_equilibrium_index{end}"] for end in ("", "_err"))
    assert 0.3 < index < 1
    assert index > 5 * error


def test_stationary_sample_does_not_change_with_age(stationary_maps):
    physics = describe_relaxation(reduce_maps(stationary_maps(1), frame_time=1.0))
    index, error = (physics[f"non_equilibrium_index{end}"] for end in ("", "_err"))
    assert abs(index) < 3 * error


def test_change_of_dynamics_is_unknown_where_no_fit_is_trusted(rng):
    maps = rng.normal(1.0, 0.1, (1, 60, 60))
    physics = describe_relaxation(reduce_maps(maps, frame_time=1.0))
    assert physics["bin_index"] is None
    assert physics["non_equilibrium_index"] is None
