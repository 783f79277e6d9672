"""What is known lies on a surface; novelty is how far off it a map lies."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from ainerd_bluesky.ml.map_features import signal_to_noise
from ainerd_bluesky.ml.maps import to_sample
from ainerd_bluesky.ml.novelty import KnownMaps
from ainerd_bluesky.ml.simulated_maps import simulate_map_set

N_TRAITS = 30


def on_a_surface(n_maps, seed, noise=0.0):
    """Return points of a curved surface of two dimensions in thirty, with noise."""
    rng = np.random.default_rng(seed)
    u, v = rng.uniform(-1, 1, (2, n_maps))
    surface = np.zeros((n_maps, N_TRAITS))
    surface[:, :4] = np.stack([u, v, 0.3 * u * v, 0.3 * u**2], axis=1)
    spread = noise * rng.standard_normal(surface.shape)
    return (surface + spread).astype(np.float32)


def known_maps(n_learned=2000, noise=0.02):
    held_out = on_a_surface(900, 1, noise)
    return KnownMaps.fit(on_a_surface(n_learned, 0, noise), held_out, np.ones(900))


def test_novelty_of_known_dynamics_is_even():
    novelty = known_maps().novelty(on_a_surface(900, 2, noise=0.02), np.ones(900))

    np.testing.assert_allclose(
        np.quantile(novelty, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.06
    )


@pytest.mark.parametrize("height", [0.1, 0.4])
def test_distance_is_that_from_the_plane_through_known_maps(height):
    """Between them too: 400 of them lie 0.05 from each other."""
    rng = np.random.default_rng(3)
    learned, maps = np.zeros((2, 400, N_TRAITS), np.float32)
    learned[:, :2] = rng.uniform(-1, 1, (400, 2))
    maps[:, :2] = rng.uniform(-0.8, 0.8, (400, 2))
    known = KnownMaps.fit(learned, maps, np.ones(400))
    maps[:, 10] = height

    assert np.median(known.distances) < 0.01
    np.testing.assert_allclose(known.distances_of(maps), height, rtol=0.1)


def test_a_known_map_is_no_way_off():
    learned = np.repeat(on_a_surface(50, 0), 30, axis=0)
    known = KnownMaps.fit(learned, learned[::30], np.ones(50))

    # places are kept in steps
    half_a_step = np.linalg.norm(known.steps) / 2
    assert known.distances_of(learned[::30]).max() < 1.01 * half_a_step < 0.01


def test_more_maps_are_known_beside_the_others():
    known = known_maps()
    learned, held_out, fresh = np.zeros((3, 400, N_TRAITS), np.float32)
    for seed, maps in enumerate((learned, held_out, fresh)):
        maps[:] = on_a_surface(400, seed, noise=0.02)
        maps[:, 0] *= 0.3
        maps[:, 3] = 0.2  # beside the surface, where nothing was known
    held_out, ratios = held_out[:12], np.linspace(2, 3, 12)

    more = known.with_more(learned, held_out, ratios)
    again = more.with_more(learned, held_out, ratios)

    old = on_a_surface(900, 2, noise=0.02)
    before, after = (
        np.quantile(each.novelty(old, np.ones(900)), [0.1, 0.5, 0.9])
        for each in (known, more)
    )
    np.testing.assert_allclose(after, before, atol=0.03)
    assert np.median(known.novelty(fresh, np.ones(400))) > 0.99
    assert np.median(more.novelty(fresh, np.ones(400))) < 0.8
    assert len(more.places) == len(again.places) == 2400
    assert len(more.distances) == len(again.distances) == 912


def test_shipped_model_learns_own_maps_and_forgets_none(shipped, striped_map):
    rng = np.random.default_rng(5)
    own = [to_sample(striped_map(rng, tau)) for tau in rng.uniform(5, 500, 112)]
    simulated = simulate_map_set(300, np.random.SeedSequence(99)).samples
    learned, held_out, others = np.split(np.stack(own), [60, 72])
    known = shipped.known.with_more(
        shipped.encoder.traits(learned),
        shipped.encoder.traits(held_out),
        signal_to_noise(held_out),
    )

    before, after = (
        [
            each.novelty(shipped.encoder.traits(maps), signal_to_noise(maps))
            for maps in (others, simulated)
        ]
        for each in (shipped.known, known)
    )

    assert np.median(before[0]) > 0.99
    assert np.median(after[0]) < 0.3
    assert np.mean(after[1] > 0.99) < 0.03
    np.testing.assert_allclose(np.median(after[1]), np.median(before[1]), atol=0.05)


def test_maps_are_compared_with_those_of_like_noise():
    """A distance that is common among noisy maps is novel for a clean one."""
    noisy, clean = on_a_surface(400, 4, 0.1), on_a_surface(400, 5, 0.005)
    held_out, ratio = np.concatenate([noisy, clean]), np.repeat([2.0, 100.0], 400)
    known = KnownMaps.fit(on_a_surface(2000, 0, 0.005), held_out, ratio)
    maps = on_a_surface(200, 6, 0.1)

    as_noisy, as_clean = (
        known.novelty(maps, np.full(200, snr)) for snr in (2.0, 100.0)
    )

    assert 0.4 < np.median(as_noisy) < 0.6
    assert as_clean.min() == 1.0


@pytest.mark.parametrize("noise", [0.005, 0.1])
def test_novelty_of_known_dynamics_is_even_whatever_the_noise(noise):
    parts = [on_a_surface(600, 8, 0.005), on_a_surface(600, 9, 0.1)]
    held_out, ratio = np.concatenate(parts), np.repeat([100.0, 2.0], 600)
    known = KnownMaps.fit(on_a_surface(2000, 0, 0.005), held_out, ratio)

    like = np.full(600, 100.0 if noise < 0.1 else 2.0)
    novelty = known.novelty(on_a_surface(600, 10, noise), like)

    np.testing.assert_allclose(
        np.quantile(novelty, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.08
    )


def test_a_map_has_the_same_bits_alone_and_in_company():
    known, maps = known_maps(), on_a_surface(20, 7, 0.3)
    ratio = np.ones(20)

    alone = [known.novelty(maps[[i]], ratio[[i]])[0] for i in range(20)]

    np.testing.assert_array_equal(known.novelty(maps, ratio), alone)


def test_few_maps_are_enough():
    few = on_a_surface(3, 0)

    known = KnownMaps.fit(few, few, np.array([3.0, 1.0, 2.0]))

    assert known.signal_to_noise.tolist() == [1.0, 2.0, 3.0]
    assert known.novelty(100 + few, np.ones(3)).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("contrast", [0.0, 0.1, 0.3])
def test_signal_to_noise_is_the_ratio_of_both(contrast):
    size, noise = 64, 0.1
    rng = np.random.default_rng(8)
    blocks = np.kron(rng.choice([-1, 1], (8, 8)), np.ones((8, 8)))
    samples = 1 + contrast * blocks + noise * rng.standard_normal((50, size, size))

    found = signal_to_noise(samples.astype(np.float32))

    # the mean of 64 entries has a 64th of the variance; one neighbour along the
    # diagonal in four lies in another block
    is_same_block = (7 / 8) ** 2
    apparent_noise = noise**2 + (1 - is_same_block) * contrast**2
    expected = (contrast**2 + noise**2 / 64) / (apparent_noise / 16)
    assert np.median(found) == pytest.approx(expected, rel=0.1)
