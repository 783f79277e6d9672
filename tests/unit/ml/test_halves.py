import numpy as np
import pytest

from ainerd_bluesky.errors import ConfigError, TwoTimeError
from ainerd_bluesky.ml.halves import OwnMaps, half_samples, part_of, require_runs

UIDS = [f"run-{number}" for number in range(400)]


@pytest.fixture
def own():
    uids = np.repeat(UIDS, 2)
    samples = np.arange(len(uids), dtype=np.float32)[:, None, None]
    return OwnMaps(samples, np.stack([samples, samples]), uids)


def test_no_run_is_on_two_sides_and_none_is_lost(own):
    parts = [own.part(part) for part in ("learn", "watch", "judge")]
    uids = [set(part.run_uids.tolist()) for part in parts]
    assert sum(map(len, uids)) == len(set.union(*uids)) == len(UIDS)
    assert [len(part) for part in parts] == [2 * part.n_runs for part in parts]


def test_one_run_in_five_judges(own):
    shares = [own.part(part).n_runs / len(UIDS) for part in ("learn", "watch", "judge")]
    np.testing.assert_allclose(shares, [0.64, 0.16, 0.2], atol=0.05)


def test_the_part_of_a_run_is_the_same_for_ever():
    assert [part_of(uid) for uid in UIDS[:6]] == [
        "learn", "learn", "judge", "judge", "learn", "judge",
    ]  # fmt: skip


def test_halves_show_the_same_with_other_noise(rng, striped_map):
    clean = striped_map(np.random.default_rng(5), 40.0, noise=0.0)
    shot = rng.normal(0, 0.2, clean.shape).astype(np.float32)
    _, even, odd = half_samples(clean)
    _, *noisy = half_samples(clean + (shot + shot.T) / np.float32(np.sqrt(2)))
    first, second = noisy[0] - even, noisy[1] - odd
    above = np.triu_indices(64, 2)
    assert np.corrcoef(even[above], odd[above])[0, 1] > 0.98
    assert abs(np.corrcoef(first[above], second[above])[0, 1]) < 0.07


def test_halves_of_a_short_map_are_refused():
    with pytest.raises(TwoTimeError, match="62 frames, halves need 64"):
        half_samples(np.ones((62, 62)))


@pytest.mark.parametrize("n_runs", [0, 5, 12])
def test_too_few_runs_are_refused_with_the_number_needed(n_runs):
    message = rf"{n_runs} runs .*needed are 6 to learn, 2 to watch, 3 to judge.* 30 "
    with pytest.raises(ConfigError, match=message):
        require_runs(UIDS[:n_runs])


def test_enough_runs_are_enough():
    require_runs(UIDS[:30])
