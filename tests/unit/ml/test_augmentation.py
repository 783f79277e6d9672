import pytest

torch = pytest.importorskip("torch")

from ainerd_bluesky.ml.augmentation import Augmentation  # noqa: E402 - after the skip

AGING, ACCELERATING, STATIC = 0, 1, 2
AUGMENT = Augmentation(
    torch.tensor([ACCELERATING, AGING, STATIC]), torch.tensor([False, False, True])
)


def augmented(word, n_samples=200, seed=0):
    row = torch.linspace(0.0, 1.0, 32)
    wedge = torch.maximum(row[:, None], row[None, :])
    clean = wedge.expand(n_samples, 32, 32)
    classes = torch.full((n_samples,), word)
    rng = torch.Generator().manual_seed(seed)
    return AUGMENT(1.0 + 0.3 * clean, clean, classes, rng)


def test_reversed_aging_is_accelerating():
    _, clean, classes = augmented(AGING)

    is_reversed = clean[:, 0, 0] > clean[:, -1, -1]
    assert 60 < int(is_reversed.sum()) < 140
    assert torch.equal(classes == ACCELERATING, is_reversed)


def test_samples_stay_symmetric():
    samples, _, _ = augmented(AGING)

    torch.testing.assert_close(samples, samples.transpose(1, 2))


def test_static_maps_keep_their_level():
    samples, _, classes = augmented(STATIC)

    mean = samples.mean(dim=(1, 2))
    assert set(classes.tolist()) == {STATIC}
    assert 1.1 < float(mean.min()) < float(mean.max()) < 1.35


def test_some_others_are_scaled_to_the_unit_interval():
    samples, _, _ = augmented(AGING)

    is_unit = (samples.amin(dim=(1, 2)) == 0) & (samples.amax(dim=(1, 2)) > 0.999)
    assert 3 < int(is_unit.sum()) < 30


def test_same_generator_gives_the_same_batch():
    assert torch.equal(augmented(AGING, seed=5)[0], augmented(AGING, seed=5)[0])
