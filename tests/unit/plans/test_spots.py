import math
import time

import numpy as np
import pytest

from ainerd_bluesky.errors import ConfigError, SpotError
from ainerd_bluesky.plans import Spots, spot_grid
from ainerd_bluesky.plans.doses import Dose

ROW = [(0.0,), (0.1,), (0.2,)]


def expose(spots, n_times, dose=1.0, sample="gel"):
    """Expose what is fresh; return the positions."""
    positions = []
    for number in range(n_times):
        spot = spots.fresh(sample, dose)
        spots.book(
            Dose(sample, spot.position, dose, f"run-{len(spots.doses)}-{number}")
        )
        positions.append(spot.position)
    return positions


def test_each_exposure_gets_a_spot_of_its_own():
    spots = Spots([None], ROW, spacing=0.1)
    assert expose(spots, 3) == ROW
    with pytest.raises(SpotError, match="'gel' has no fresh spot left: 3 spots, 3 exp"):
        spots.fresh("gel", 1.0)
    assert spots.fresh("foam", 1.0).position == (0.0,)


def test_spots_that_take_two_are_exposed_once_each_before_any_twice():
    spots = Spots([None], ROW, max_exposures=2)
    assert expose(spots, 6) == [*ROW, *ROW]


def test_a_spot_takes_no_more_dose_than_its_limit():
    spots = Spots([None], ROW[:1], max_exposures=99, max_dose=1.0)
    # Ten tenths are not quite one in binary; nine of them and one are.
    assert len(expose(spots, 10, dose=0.1)) == 10
    with pytest.raises(SpotError, match="no fresh spot"):
        spots.fresh("gel", 0.1)
    with pytest.raises(SpotError, match=r"cannot take a dose of 0\.1"):
        spots.book(Dose("gel", (0.0,), 0.1, "b"))


def test_a_dose_counts_for_all_places_nearer_than_the_spacing():
    before = Spots([None], ROW, spacing=0.1)
    before.book(Dose("gel", (0.1,), 1.0, "a"))
    shifted = Spots([None], [(0.05,), (0.15,), (0.25,)], spacing=0.1)
    shifted.recall(before.doses)
    assert expose(shifted, 1) == [(0.25,)]


def test_doses_of_an_earlier_session_are_recalled_once():
    spots = Spots([None], ROW, max_exposures=2)
    dose = Dose("gel", (0.0,), 1.0, "a")
    spots.recall([dose, Dose.from_json(dose.as_json())])
    spots.recall(spots.doses)
    assert spots.doses == (dose,)


def test_positions_may_be_an_array():
    spots = Spots([None, None], np.array([[0, 0], [0, 1]]))
    assert spots.fresh("gel", 1.0).position == (0.0, 0.0)


def test_doses_at_places_of_no_list_are_kept():
    spots = Spots([None], {"gel": ROW})
    doses = [Dose("foam", (0.0,), 1.0, "a"), Dose("gel", (0.0, 0.0), 1.0, "b")]
    spots.recall(doses)
    assert spots.doses == tuple(doses)
    assert spots.fresh("gel", 1.0).position == (0.0,)


def test_many_exposures_of_many_spots_take_no_time():
    spots = Spots([None, None], spot_grid(100, 100, 0.1), spacing=0.1)
    began = time.process_time()
    spots.recall(
        Dose("gel", s.position, 1.0, "a") for s in spots.of_sample("gel")[:2000]
    )
    positions = expose(spots, 50)
    # Comparing each spot with each exposure would take minutes.
    assert time.process_time() - began < 2.0
    assert positions[0] == spots.of_sample("gel")[2000].position


def test_samples_may_have_spots_of_their_own():
    spots = Spots([None], {"gel": [(1.0,)], "foam": [(2.0,)]})
    assert spots.fresh("foam", 1.0).position == (2.0,)
    with pytest.raises(SpotError, match="no spots are known of sample 'glass'"):
        spots.fresh("glass", 1.0)


def test_dose_is_counted_in_the_units_of_the_rate():
    spots = Spots([None], ROW, max_dose=10.0, dose_rate=2.0)
    assert spots.dose_of(5.0) == 10.0
    with pytest.raises(ConfigError, match="one scan of 6 s is a dose of 12, more than"):
        spots.dose_of(6.0)


def test_a_grid_is_centred_and_walked_to_and_fro():
    assert spot_grid(2, 3, 0.1) == [
        (pytest.approx(x), pytest.approx(y))
        for x, y in [
            (-0.1, -0.05), (0.0, -0.05), (0.1, -0.05),
            (0.1, 0.05), (0.0, 0.05), (-0.1, 0.05),
        ]
    ]  # fmt: skip


def test_a_large_grid_keeps_its_spacing_in_spite_of_rounding():
    assert len(Spots([None, None], spot_grid(60, 60, 0.1), spacing=0.1).of_sample("a"))


@pytest.mark.parametrize(
    ("positions", "settings", "message"),
    [
        ([], {}, "need one position at least"),
        ({"gel": []}, {}, "spots of sample 'gel': need one position"),
        ([(0.0, 1.0)], {}, "needs 1 finite values"),
        ([(math.nan,)], {}, "needs 1 finite values"),
        ([(0.0,), (0.05,)], {"spacing": 0.1}, "nearer to each other than 0.1"),
        ([(0.0,), (0.0,)], {}, "nearer to each other than 0"),
        (np.zeros((2, 1)), {}, "nearer to each other than 0"),
        (np.zeros((0, 1)), {}, "need one position at least"),
        ([0.0, 1.0], {}, "positions need values"),
        (ROW, {"max_exposures": 0}, "max_exposures >= 1"),
        (ROW, {"max_dose": math.nan}, "max_dose > 0"),
        (ROW, {"spacing": -1.0}, "spacing >= 0"),
        (ROW, {"dose_rate": 0.0}, "dose_rate > 0"),
    ],
    ids=str,
)
def test_spots_that_cannot_be_are_refused(positions, settings, message):
    with pytest.raises(ConfigError, match=message):
        Spots([None], positions, **settings)


@pytest.mark.parametrize("size", [(0, 1, 0.1), (1, 0, 0.1), (1, 1, 0.0)], ids=str)
def test_a_grid_without_spots_is_refused(size):
    with pytest.raises(ConfigError, match="a grid of spots needs"):
        spot_grid(*size)
