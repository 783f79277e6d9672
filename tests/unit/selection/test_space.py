"""Axes, grids and boxes of conditions."""

import math

import numpy as np
import pytest

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection import Axis, box_candidates, grid_candidates
from ainerd_bluesky.selection.space import (
    axis_as_json,
    axis_from_json,
    is_within,
    scale_coordinates,
    seconds_to,
)

TEMPERATURE = Axis("T", 280.0, 320.0, seconds_per_unit=60.0, settle=120.0)
SHEAR = Axis("shear", 0.01, 100.0, is_log=True)


def test_a_grid_has_every_combination_once():
    found = grid_candidates({"T": [20.0, 30.0], "x": [0.0, 0.5, 1.0]}, sample="gel")
    assert len({candidate.coordinates for candidate in found}) == 6
    assert found[1].name == "gel T=20 x=0.5"
    assert found[1].sample == "gel"


@pytest.mark.parametrize("n_candidates", [1, 7, 200])
def test_a_box_stays_within_its_limits(n_candidates):
    found = box_candidates([TEMPERATURE, SHEAR], n_candidates, exposure=3.0)
    points = np.array([candidate.coordinates for candidate in found])
    assert points.shape == (n_candidates, 2)
    assert is_within(points, [TEMPERATURE, SHEAR]).all()
    assert {candidate.exposure for candidate in found} == {3.0}


def test_a_box_is_filled_evenly():
    points = scale_coordinates(
        np.array([c.coordinates for c in box_candidates([TEMPERATURE, SHEAR], 160)]),
        [TEMPERATURE, SHEAR],
    )
    counts, *_ = np.histogram2d(*points.T, bins=4, range=[[0, 1], [0, 1]])
    # Points drawn at random would scatter by the root of 10, their mean number.
    assert counts.std() < 0.6 * np.sqrt(10)


def test_a_longer_box_begins_with_the_shorter_one():
    assert box_candidates([SHEAR], 30)[:10] == box_candidates([SHEAR], 10)


@pytest.mark.parametrize(
    "candidates",
    [
        grid_candidates({"E": [7112.001, 7112.002]}),
        box_candidates([Axis("T", 295.0, 295.001)], 500),
    ],
    ids=["grid", "box"],
)
def test_names_have_as_many_digits_as_keep_them_apart(candidates):
    assert len({candidate.name for candidate in candidates}) == len(candidates)


def test_names_have_no_more_digits_than_that():
    found = grid_candidates({"E": [7112.001, 7112.002]})
    assert [candidate.name for candidate in found] == ["E=7112.001", "E=7112.002"]


@pytest.mark.parametrize("axis", [Axis("x", 0.0, 0.3), Axis("x", high=0.3)], ids=str)
def test_rounding_puts_nothing_beyond_a_limit(axis):
    places = 0.1 * np.arange(5)[:, None]
    assert places[3, 0] > 0.3
    assert is_within(places, [axis]).tolist() == [True] * 4 + [False]


def test_decades_are_as_far_apart_as_each_other():
    rates = np.array([[0.01], [0.1], [1.0], [10.0], [100.0]])
    np.testing.assert_allclose(
        scale_coordinates(rates, [SHEAR])[:, 0], [0, 0.25, 0.5, 0.75, 1]
    )


def test_a_coordinate_without_spread_scales_to_a_constant():
    assert np.ptp(scale_coordinates(np.array([[5.0], [5.0]]))) == 0


def test_the_slowest_axis_decides_how_long_it_takes():
    axes = [TEMPERATURE, Axis("x", seconds_per_unit=2.0)]
    there = np.array([[300.0, 0.0], [300.0, 500.0], [301.0, 10.0]])
    np.testing.assert_array_equal(
        seconds_to(there, np.array([300.0, 0.0]), axes), [0.0, 1000.0, 180.0]
    )


def test_where_the_experiment_stands_is_not_known_at_first():
    assert seconds_to(np.array([[300.0]]), None, [TEMPERATURE]).tolist() == [0.0]


@pytest.mark.parametrize("axis", [TEMPERATURE, SHEAR, Axis("free", high=3.0)])
def test_an_axis_comes_back_from_json(axis):
    values = axis_as_json(axis)
    assert all(value is None or value != math.inf for value in values.values())
    assert axis_from_json(values) == axis


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Axis("T", 3.0, 2.0), "'T' needs low < high, got 3.0 and 2.0"),
        (lambda: Axis("T", np.nan, 2.0), "got nan and 2.0"),
        (
            lambda: Axis("T", seconds_per_unit=-1.0),
            r"times >= 0, to 1e\+100 s, got seconds_per_unit -1",
        ),
        (lambda: Axis("T", seconds_per_unit=1e308), r"got seconds_per_unit 1e\+308"),
        (lambda: Axis("T", -1e308, 0.0), r"needs limits to 1e\+100 .* got -1e\+308"),
        (lambda: Axis("T", high=1e101), r"or none, got -inf and 1e\+101"),
        (lambda: Axis("T", settle=math.inf), "settle inf"),
        (lambda: Axis("T", 0.0, 1.0, is_log=True), "needs low > 0, got 0.0"),
        (lambda: grid_candidates({}), "got none for any"),
        (lambda: grid_candidates({"T": []}), r"got none for \['T'\]"),
        (lambda: box_candidates([Axis("T")], 3), r"no limits for \['T'\]"),
        (lambda: box_candidates([], 3), "no axes"),
        (lambda: box_candidates([TEMPERATURE], 0), "got 0"),
    ],
)
def test_what_is_no_space_is_named(make, message):
    with pytest.raises(SelectionError, match=message):
        make()
