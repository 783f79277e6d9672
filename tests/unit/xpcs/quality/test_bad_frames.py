"""Bad frames: found in any beam that a beamline has, and no good one with them."""

import numpy as np
import pytest

from ainerd_bluesky.errors import FrameStackError
from ainerd_bluesky.xpcs import multi_tau_g2
from ainerd_bluesky.xpcs.quality.bad_frames import find_bad_frames

N_FRAMES = 1000
TIME = np.arange(N_FRAMES)


def beams(rng):
    return {
        "steady": np.ones(N_FRAMES),
        "flicker": 1 + 0.1 * rng.standard_normal(N_FRAMES),
        "strong-flicker": np.clip(1 + 0.2 * rng.standard_normal(N_FRAMES), 0.1, None),
        "uniform": rng.uniform(0.5, 1.5, N_FRAMES),
        "fading": np.exp(-3 * TIME / N_FRAMES),
        "step": np.where(TIME < 400, 1.0, 0.3),
        "oscillation": 1 + 0.28 * np.sin(TIME),
    }


BEAMS = tuple(beams(np.random.default_rng(0)))


@pytest.mark.parametrize("level", [0.1, 1.0, 10.0, 1e3, 1e7])
@pytest.mark.parametrize("beam", BEAMS)
def test_good_frames_are_kept(rng, beam, level):
    photons = rng.poisson(level * beams(rng)[beam])
    n_lost = int((~find_bad_frames(photons).is_good).sum())
    assert n_lost <= (3 if beam == "strong-flicker" else 1)


@pytest.mark.parametrize("level", [40.0, 1e3, 1e7])
@pytest.mark.parametrize("beam", BEAMS)
def test_dropped_frames_are_found(rng, beam, level):
    if beam == "fading" or (beam == "uniform" and level < 100):
        level *= 10
    photons = rng.poisson(level * beams(rng)[beam]).astype(np.float64)
    dropped = rng.choice(N_FRAMES, 20, replace=False)
    photons[dropped] = 0
    assert not find_bad_frames(photons).is_good[dropped].any()


@pytest.mark.parametrize("factor", [0.3, 1.5, 2.0], ids=["dim", "bright", "double"])
@pytest.mark.parametrize("beam", ["steady", "step"])
def test_glitches_are_found(rng, beam, factor):
    photons = 1e4 * beams(rng)[beam]
    glitches = np.arange(15, N_FRAMES, 50)
    photons[glitches] *= factor
    bad = find_bad_frames(rng.poisson(photons))
    assert not bad.is_good[glitches].any()
    # The frame beside a step may go with them.
    assert (~bad.is_good).sum() <= len(glitches) + 1


@pytest.mark.parametrize("first", [0, 300, 900], ids=["start", "middle", "end"])
def test_long_gap_is_found_whole(rng, first):
    photons = rng.poisson(1e4, N_FRAMES)
    photons[first : first + 100] = rng.poisson(300.0, 100)
    bad = np.flatnonzero(~find_bad_frames(photons).is_good)
    assert bad.tolist() == list(range(first, first + 100))


def test_empty_frames_of_a_weak_beam_are_no_defect(rng):
    photons = rng.poisson(2.0, N_FRAMES)
    assert (photons == 0).sum() > 50
    assert find_bad_frames(photons).is_good.all()


def test_each_kind_is_named_with_its_frames(rng):
    photons = rng.poisson(1e3, 100).astype(np.float64)
    photons[[4, 17, 30]] = [0, 5000, np.nan]
    bad = find_bad_frames(photons, given=[0, 1])
    assert bad.reasons == (
        "2 of 100 frames are named as bad: 0, 1",
        "1 of 100 frames could not be read: 30",
        "1 of 100 frames are far too dark: 4",
        "1 of 100 frames are far too bright: 17",
    )
    assert np.flatnonzero(~bad.is_good).tolist() == [0, 1, 4, 17, 30]


def test_long_list_of_frames_is_cut(rng):
    bad = find_bad_frames(rng.poisson(1e3, 100), given=range(20))
    assert bad.reasons[0].endswith("0, 1, 2, 3, 4, 5, 6, 7, ...")


@pytest.mark.parametrize(
    "photons",
    [np.zeros(50), np.full(50, np.nan), np.zeros(0), np.ones(1)],
    ids=["dark", "nan", "empty", "single"],
)
def test_series_without_a_level_has_no_outliers(photons):
    bad = find_bad_frames(photons)
    assert np.array_equal(bad.is_good, np.isfinite(photons))


@pytest.mark.parametrize("given", [[50], [-1]])
def test_listed_frame_that_does_not_exist_is_named(given):
    with pytest.raises(FrameStackError, match=r"must lie in 0 \.\. 49, got"):
        find_bad_frames(np.ones(50), given=given)


def test_dropped_and_double_frames_do_not_move_the_baseline(rng):
    counts = rng.poisson(1.0, (500, 4000)).astype(np.uint8)
    bad = rng.choice(500, 10, replace=False)
    counts[bad[:5]] = 0
    # A second exposure on top of the first, seen by one half of the detector.
    counts[bad[5:], :2000] *= 3
    is_good = find_bad_frames(counts.sum(axis=1)).is_good
    assert np.array_equal(np.flatnonzero(~is_good), np.sort(bad))
    one_time = multi_tau_g2([counts], is_good=is_good)
    short = one_time.lags <= 100
    assert abs(one_time.g2[0, short].mean() - 1) < 1e-3
