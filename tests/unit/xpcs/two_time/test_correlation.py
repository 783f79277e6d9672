"""Maps and g2 of a q-bin against their definitions, for every normalisation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.errors import FrameStackError, MemoryBudgetError, TwoTimeError
from ainerd_bluesky.xpcs.two_time.correlation import correlate_bin
from ainerd_bluesky.xpcs.two_time.products import Float32Products, NumpyProducts

NORMALISATIONS = (
    "static",
    "frame",
    "static-frame",
    "symmetric",
    "monitor",
    "pixel",
    "none",
)
# Of the fixture `scan`.
N_FRAMES, N_PIXELS = 300, 90
SMALL_COUNTS = arrays(np.uint8, (8, 6), elements=st.integers(1, 9))


class Definition:
    """Map and g2 in float64, as the documentation states them."""

    def __init__(self, scan, normalisation):
        self.normalisation = normalisation
        self.is_used = scan.is_good.copy()
        if normalisation not in {"symmetric", "monitor", "none"}:
            self.is_used &= scan.counts.sum(axis=1) > 0
        counts = np.where(self.is_used[:, None], scan.counts, 0).astype(float)
        of_bin = scan.static_bins[:, None] == np.unique(scan.static_bins)
        lit = of_bin[:, counts.sum(axis=0) @ of_bin > 0]
        self.pixels = np.ones(N_PIXELS, bool)
        if normalisation in {"static", "static-frame", "symmetric"}:
            self.pixels = lit.any(axis=1)
        if normalisation == "pixel":
            self.pixels = counts.sum(axis=0) > 0
        self.x = counts[:, self.pixels]
        self.of_bin = lit[self.pixels]
        self.monitor = scan.monitor
        self.n_good = scan.is_good.sum()
        self.profile = self.find_profile()
        self.beam = self.find_beam()

    def find_profile(self):
        """The a of each frame and pixel."""
        used, sizes = self.x[self.is_used], self.of_bin.sum(axis=0)
        if self.normalisation in {"static", "symmetric"}:
            return self.of_bin @ (used.mean(axis=0) @ self.of_bin / sizes)
        if self.normalisation == "static-frame":
            return (self.x @ self.of_bin / sizes) @ self.of_bin.T
        if self.normalisation == "pixel":
            return used.mean(axis=0)
        return np.ones(self.x.shape[1])

    def find_beam(self):
        """The f of each frame."""
        if self.normalisation in {"symmetric", "none"}:
            return np.ones(N_FRAMES)
        if self.normalisation == "monitor":
            monitor = self.monitor / self.monitor[self.is_used].mean()
            return monitor * self.x[self.is_used].mean()
        return self.flat.mean(axis=1)

    @property
    def flat(self):
        flat = np.zeros_like(self.x)
        profile = np.broadcast_to(self.profile, self.x.shape)
        return np.divide(self.x, profile, out=flat, where=profile > 0)

    @property
    def correction(self):
        if self.normalisation == "static":
            return self.static_correction()
        if self.normalisation != "pixel":
            return 0.0
        good = self.x[self.is_used]
        # One good frame is without photons, but a frame of its own right.
        good = np.vstack([good, np.zeros((self.n_good - len(good), good.shape[1]))])
        variance = good.var(axis=0, ddof=1) / self.n_good
        return (variance / good.mean(axis=0) ** 2).mean()

    def static_correction(self):
        """Mean variance of the means of static bins, less that of their mean."""
        sizes = self.of_bin.sum(axis=0)
        means = self.flat[self.is_used] @ self.of_bin / sizes
        share = sizes / sizes.sum()
        variance = share @ means.var(axis=0, ddof=1) - (means @ share).var(ddof=1)
        return variance / len(means)

    def two_time(self, diagonal="shot-noise"):
        with np.errstate(divide="ignore", invalid="ignore"):
            normalised = self.flat / self.beam[:, None]
            two_time = normalised @ normalised.T / self.x.shape[1]
            if diagonal == "shot-noise-free":
                ones = (normalised / self.profile) / self.beam[:, None]
                two_time -= np.diag(np.nansum(ones, axis=1) / self.x.shape[1])
        two_time[~self.is_used] = two_time[:, ~self.is_used] = np.nan
        return two_time + self.correction

    def pairs(self, lag):
        is_pair = self.is_used[:-lag] & self.is_used[lag:]
        return np.flatnonzero(is_pair), np.flatnonzero(is_pair) + lag

    def ratio_of_sums(self, lag):
        earlier, later = self.pairs(lag)
        n_pixels = self.x.shape[1]
        if self.normalisation == "static-frame":
            return self.mean_over_bins(
                lambda sums: (sums[earlier] * sums[later]).sum(), lag
            )
        if self.normalisation == "symmetric":
            return self.mean_over_bins(
                lambda sums: sums[earlier].mean() * sums[later].sum(), lag
            )
        products = (self.flat[earlier] * self.flat[later]).sum() / n_pixels
        return (
            products / (self.beam[earlier] * self.beam[later]).sum() + self.correction
        )

    def mean_over_bins(self, norm_of, lag):
        earlier, later = self.pairs(lag)
        ratios, sizes = [], []
        for pixels in self.of_bin.T:
            x = self.x[:, pixels]
            norm = norm_of(x.sum(axis=1))
            if norm > 0:
                ratios.append((x[earlier] * x[later]).sum() * x.shape[1] / norm)
                sizes.append(x.shape[1])
        return np.average(ratios, weights=sizes)

    def mean_of_ratios(self, lag):
        earlier, later = self.pairs(lag)
        return self.two_time()[earlier, later].mean()


def on_int8():
    int8 = pytest.importorskip("ainerd_bluesky.engines.int8")
    if not int8.int8_works():
        pytest.skip("this torch multiplies no bytes")
    return int8.Int8Products()


ENGINES = {"numpy": NumpyProducts, "fp32": Float32Products, "int8": on_int8}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_map_is_its_definition(scan, normalisation, engine):
    two_time = scan.correlate(ENGINES[engine](), normalisation=normalisation).two_time
    expected = Definition(scan, normalisation).two_time()
    assert_allclose(two_time, expected, rtol=1e-6)
    assert np.array_equal(two_time, two_time.T, equal_nan=True)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_g2_is_the_ratio_of_sums(scan, normalisation, engine):
    g2 = scan.correlate(ENGINES[engine](), normalisation=normalisation).g2
    definition = Definition(scan, normalisation)
    lags = (1, 2, 17, 150, 255, 256, 297)
    expected = [definition.ratio_of_sums(lag) for lag in lags]
    # Weighted fractions are summed in single precision, whole numbers exactly.
    is_exact = engine != "fp32" and normalisation != "pixel"
    rel = 1e-11 if is_exact else 1e-6
    assert g2[np.array(lags) - 1] == pytest.approx(expected, rel=rel)


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_g2_is_the_mean_of_ratios_on_request(scan, normalisation):
    g2 = scan.correlate(normalisation=normalisation, estimator="mean-of-ratios").g2
    definition = Definition(scan, normalisation)
    expected = [definition.mean_of_ratios(lag) for lag in (1, 100, 270)]
    assert g2[[0, 99, 269]] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_diagonal_without_shot_noise_is_its_definition(scan, normalisation, engine):
    kind = {"normalisation": normalisation, "diagonal": "shot-noise-free"}
    two_time = scan.correlate(ENGINES[engine](), **kind).two_time
    definition = Definition(scan, normalisation)
    expected = definition.two_time("shot-noise-free")
    # What is left of a difference has the errors of what it was taken from.
    assert_allclose(np.diag(two_time), np.diag(expected), rtol=1e-6, atol=2e-6)


def test_pairs_are_those_of_used_frames(scan):
    is_used = Definition(scan, "frame").is_used
    expected = [(is_used[:-lag] & is_used[lag:]).sum() for lag in range(1, N_FRAMES)]
    assert np.array_equal(scan.correlate().n_pairs, expected)


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_what_bad_frames_hold_does_not_matter(scan, normalisation):
    expected = scan.correlate(normalisation=normalisation)
    scan.counts[~scan.is_good] = 3
    correlated = scan.correlate(normalisation=normalisation)
    assert np.array_equal(correlated.two_time, expected.two_time, equal_nan=True)
    assert np.array_equal(correlated.g2, expected.g2, equal_nan=True)


def test_frame_of_nan_is_a_bad_frame(rng):
    counts = rng.gamma(2.0, size=(20, 50))
    is_good = np.arange(20) != 7
    expected = correlate_bin(counts, is_good=is_good)
    counts[7, 3] = np.nan
    correlated = correlate_bin(counts)
    assert np.array_equal(correlated.two_time, expected.two_time, equal_nan=True)
    assert np.array_equal(correlated.n_pairs, expected.n_pairs)


def test_frames_without_beam_are_no_frames_to_the_monitor(scan):
    config = CorrelationConfig(normalisation="monitor")
    dark = np.where(np.arange(N_FRAMES) == 9, 0.0, scan.monitor)
    correlated = correlate_bin(
        scan.counts, config=config, is_good=scan.is_good, monitor=dark
    )
    is_good = scan.is_good & (dark > 0)
    expected = correlate_bin(
        scan.counts, config=config, is_good=is_good, monitor=scan.monitor
    )
    assert np.array_equal(correlated.g2, expected.g2, equal_nan=True)


@pytest.mark.parametrize("highest", [1, 2, 127])
def test_sums_of_bytes_are_exact(rng, highest):
    products, counts = on_int8(), rng.integers(0, highest + 1, (530, 700))
    counts[0] = highest
    counts = counts.astype(np.uint8)
    config = CorrelationConfig(normalisation="none")
    g2 = correlate_bin(counts, config=config, products=products).g2
    whole = counts.astype(np.int64)
    for lag in (1, 255, 256, 400, 529):
        total = (whole[:-lag] * whole[lag:]).sum()
        assert round(g2[lag - 1] * 700 * (530 - lag)) == total


@pytest.mark.parametrize("normalisation", ["static", "pixel"])
@pytest.mark.parametrize("engine", [NumpyProducts, Float32Products])
def test_pieces_of_pixels_give_the_same(scan, monkeypatch, engine, normalisation):
    expected = scan.correlate(engine(), normalisation=normalisation)
    monkeypatch.setattr(
        "ainerd_bluesky.xpcs.two_time.products._WORK_BYTES", 300 * 4 * 11
    )
    correlated = scan.correlate(engine(), normalisation=normalisation)
    assert correlated.g2 == pytest.approx(expected.g2, rel=1e-6, nan_ok=True)
    assert_allclose(correlated.two_time, expected.two_time, rtol=1e-6)


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (5, 0)], ids=str)
def test_map_of_nothing_holds_no_number(shape, normalisation):
    config = CorrelationConfig(normalisation=normalisation)
    counts, monitor = np.zeros(shape, np.uint8), np.ones(shape[0])
    correlated = correlate_bin(counts, config=config, monitor=monitor)
    assert correlated.two_time.shape == (shape[0], shape[0])
    assert np.isnan(correlated.two_time).all()
    assert np.isnan(correlated.g2).all()
    assert len(correlated.g2) == len(correlated.n_pairs) == max(shape[0] - 1, 0)


def test_map_goes_where_it_is_told(scan):
    out = np.empty((N_FRAMES, N_FRAMES), np.float32)
    correlated = correlate_bin(scan.counts, is_good=scan.is_good, out=out)
    expected = correlate_bin(scan.counts, is_good=scan.is_good)
    assert correlated.two_time is out
    assert np.array_equal(out, expected.two_time, equal_nan=True)


@pytest.mark.parametrize("out", [np.zeros((3, 4), np.float32), np.zeros((4, 4))])
def test_map_does_not_go_where_it_does_not_fit(out):
    with pytest.raises(TwoTimeError, match=r"float32 of shape \(4, 4\), got"):
        correlate_bin(np.ones((4, 9)), out=out)


def test_monitor_has_to_be_there():
    config = CorrelationConfig(normalisation="monitor")
    with pytest.raises(FrameStackError, match="needs a monitor"):
        correlate_bin(np.ones((4, 9)), config=config)


def test_map_beyond_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(
        "ainerd_bluesky.xpcs.machine.memory.available_memory", lambda: 10**6
    )
    with pytest.raises(MemoryBudgetError, match="1000 frames in 1 q-bins takes"):
        correlate_bin(np.ones((1000, 9), np.uint8))


@pytest.mark.parametrize("normalisation", NORMALISATIONS[:6])
def test_uncorrelated_frames_give_one(rng, normalisation):
    counts = rng.poisson(0.5, (80, 4000)).astype(np.uint8)
    config = CorrelationConfig(normalisation=normalisation)
    correlated = correlate_bin(
        counts, config=config, static_bins=np.arange(4000) // 400, monitor=np.ones(80)
    )
    # 3160 pairs of frames, each with a scatter of 1 / (mean sqrt(pixels)).
    known = correlated.g2 * correlated.n_pairs
    assert known.sum() / correlated.n_pairs.sum() == pytest.approx(1, abs=2.5e-3)


@pytest.mark.parametrize("kind", ["static", "static-frame", "symmetric"])
def test_static_bins_take_out_a_gradient(rng, kind):
    static_bins = np.arange(10_000) // 1000
    counts = rng.poisson(0.5 + 0.2 * static_bins, (60, 10_000)).astype(np.uint8)
    config = CorrelationConfig(normalisation=kind)
    g2 = correlate_bin(counts, config=config, static_bins=static_bins).g2
    uncorrected = correlate_bin(counts, static_bins=None).g2
    assert g2.mean() == pytest.approx(1, abs=3e-3)
    assert uncorrected.mean() > 1.1


def test_pixel_means_of_few_frames_do_not_lower_g2(rng):
    counts = rng.poisson(0.5, (100, 10_000)).astype(np.uint8)
    config = CorrelationConfig(normalisation="pixel")
    g2 = correlate_bin(counts, config=config).g2
    # Without the correction it is -Var/(N m^2) = -0.02.
    assert g2[:50].mean() == pytest.approx(1, abs=3e-3)


def test_poisson_light_has_no_diagonal_without_shot_noise(rng):
    counts = rng.poisson(0.2, (60, 20_000)).astype(np.uint8)
    config = CorrelationConfig(diagonal="shot-noise-free")
    diagonal = np.diag(correlate_bin(counts, config=config).two_time)
    assert diagonal.mean() == pytest.approx(1, abs=0.02)
    assert np.diag(correlate_bin(counts).two_time).mean() == pytest.approx(6, abs=0.1)


def test_dropped_frames_do_not_move_the_baseline(rng):
    counts = rng.poisson(1.0, (200, 2000)).astype(np.uint8)
    dropped = counts.copy()
    dropped[rng.choice(200, 4, replace=False)] = 0
    before, after = correlate_bin(counts), correlate_bin(dropped)
    lags = slice(0, 100)
    assert abs(after.g2[lags].mean() - before.g2[lags].mean()) < 1e-3


@given(counts=SMALL_COUNTS, seed=st.integers(0, 99))
@settings(deadline=None)
def test_order_of_pixels_inside_static_bins_does_not_matter(counts, seed):
    static_bins = np.array([0, 0, 0, 1, 1, 1])
    order = np.random.default_rng(seed).permutation(6)
    expected = correlate_bin(counts, static_bins=static_bins)
    shuffled = correlate_bin(counts[:, order], static_bins=static_bins[order])
    assert np.array_equal(shuffled.two_time, expected.two_time)
    assert np.array_equal(shuffled.g2, expected.g2)


@given(counts=SMALL_COUNTS, seed=st.integers(0, 99))
@settings(deadline=None)
def test_order_of_frames_permutes_the_map(counts, seed):
    static_bins = np.array([0, 0, 0, 1, 1, 1])
    order = np.random.default_rng(seed).permutation(len(counts))
    expected = correlate_bin(counts, static_bins=static_bins).two_time
    shuffled = correlate_bin(counts[order], static_bins=static_bins).two_time
    assert shuffled == pytest.approx(expected[np.ix_(order, order)], rel=1e-6)


@given(counts=SMALL_COUNTS, factor=st.integers(2, 9))
@settings(deadline=None)
def test_brightness_does_not_matter(counts, factor):
    static_bins = np.array([0, 0, 0, 1, 1, 1])
    expected = correlate_bin(counts, static_bins=static_bins)
    brighter = correlate_bin(counts.astype(int) * factor, static_bins=static_bins)
    assert brighter.two_time == pytest.approx(expected.two_time, rel=1e-6)
    assert brighter.g2 == pytest.approx(expected.g2, rel=1e-12)


@given(counts=SMALL_COUNTS, split=st.integers(1, 5))
@settings(deadline=None)
def test_sums_of_pixels_add_up(counts, split):
    config = CorrelationConfig(normalisation="none")
    parts = (counts[:, :split], counts[:, split:])
    total = sum(correlate_bin(part, config=config).g2 * part.shape[1] for part in parts)
    assert correlate_bin(counts, config=config).g2 * 6 == pytest.approx(
        total, rel=1e-12
    )


@pytest.mark.parametrize("n_static", [1, 3])
def test_symmetric_g2_of_uncorrelated_counts_is_one(rng, n_static):
    counts = rng.poisson(5.0, (100, 600))
    config = CorrelationConfig(normalisation="symmetric")
    static_bins = np.arange(600) % n_static
    g2 = correlate_bin(counts, config=config, static_bins=static_bins).g2
    assert g2[:50].mean() == pytest.approx(1, abs=2e-3)
