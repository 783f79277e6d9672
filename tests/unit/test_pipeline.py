"""From frames to a published analysis, with a classifier that is told what to say."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from ainerd_bluesky.config import (
    ClassificationConfig,
    CorrelationConfig,
    QualityConfig,
    ReductionConfig,
)
from ainerd_bluesky.engines import choose_engine
from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.ml.classification import Classification
from ainerd_bluesky.ml.words import ModelWords
from ainerd_bluesky.pipeline import (
    Acquisition,
    AnalysisSettings,
    analyse,
    reduce_frames,
    reduce_maps,
    refused,
)
from ainerd_bluesky.xpcs import QPartition, Quality
from ainerd_bluesky.xpcs.reduction.physics import describe_relaxation

CONFIG = AnalysisSettings()
N_FRAMES = 96
ACQUISITION = Acquisition(
    "run-1", sample="gel", source="/data/a/frames.h5", metadata={"T": np.float32(300)}
)
BIN_COLUMNS = {
    "q_bin", "q", "phi", "label", "confidence", "novelty", "cluster", "quality_ok",
    "relaxation_rate", "relaxation_rate_err", "relaxation_time", "alpha", "alpha_err",
    "beta", "beta_err", "baseline", "baseline_err",
}  # fmt: skip


class Oracle:
    """Classifier that gives the answers it was made with, one after the other."""

    name, version, sha256 = "oracle", "1", "ab" * 32

    def __init__(self, *probabilities):
        self.probabilities = probabilities
        self.asked = []

    def classify(self, maps):
        self.asked.extend(maps)
        return [
            self.answer(self.probabilities[index % len(self.probabilities)])
            for index in range(len(maps))
        ]

    def answer(self, probabilities):
        if not probabilities:
            refusal = Quality.refusal("constant", "all elements have the value 1")
            return Classification.refused(refusal, 4)
        label = max(probabilities, key=probabilities.get)
        return Classification(
            label=label,
            confidence=probabilities[label],
            probabilities=probabilities,
            cluster=3,
            novelty=0.25,
            embedding=np.ones(4, np.float32),
            quality=Quality.good(),
        )


SURE = {"stationary": 0.9, "aging": 0.1}


@pytest.fixture
def partition():
    return QPartition(
        np.repeat([[0, 1, 2, 3]], 300, axis=0), [0.01, 0.02, 0.04], [np.nan] * 3
    )


@pytest.fixture
def frames(speckle_counts):
    """Relaxation rate ~ q^2: 40, 10 and 2.5 frames, 300 pixels a bin."""
    movie = np.zeros((N_FRAMES, 300, 4), np.uint16)
    for column, tau in ((1, 40.0), (2, 10.0), (3, 2.5)):
        movie[:, :, column] = speckle_counts(N_FRAMES, 300, tau, 0.5, 3.0)
    movie[:, :, 0] = 65535
    return movie


@pytest.fixture
def reduction(frames, partition):
    return reduce_frames([frames], partition, frame_time=0.1, config=CONFIG)


def no_nan(value):
    json.dumps(value, allow_nan=False)
    return True


def test_good_frames_give_every_array(reduction):
    assert reduction.quality == Quality.good()
    assert reduction.two_time.shape == (3, N_FRAMES, N_FRAMES)
    assert reduction.two_time.dtype == np.float32
    assert reduction.g2.shape == reduction.g2_err.shape == (3, len(reduction.lags))
    assert reduction.intensity == pytest.approx(3.0, abs=0.5)


def test_rates_follow_the_square_of_q(reduction):
    physics = describe_relaxation(reduction)
    assert physics["n_trusted_bins"] == 3
    deviation = abs(physics["q_exponent"] - 2.0)
    assert deviation < max(3 * physics["q_exponent_err"], 0.1)


def test_rate_is_in_inverse_seconds(reduction):
    fit = reduction.fits[1]
    assert abs(fit.relaxation_rate - 1.0) < 4 * fit.relaxation_rate_err


@pytest.mark.parametrize("block", [1, 13, 96])
def test_blocks_of_any_size_give_the_same_reduction(frames, partition, block):
    blocks = (frames[i : i + block] for i in range(0, N_FRAMES, block))
    one = reduce_frames(blocks, partition, frame_time=0.1, config=CONFIG)
    other = reduce_frames([frames], partition, frame_time=0.1, config=CONFIG)
    assert np.array_equal(one.two_time, other.two_time)
    assert np.array_equal(one.g2, other.g2)
    assert one.fits == other.fits
    assert one.recipe == other.recipe


def with_infinity(frames):
    spoilt = frames.astype(float)
    spoilt[50, 7, 2] = np.inf
    return spoilt


def with_infinity_in_float32(frames):
    return with_infinity(frames).astype(np.float32)


def with_negative(frames):
    spoilt = frames.astype(np.int32)
    spoilt[50, 7, 2] = -1
    return spoilt


@pytest.mark.parametrize(
    ("spoil", "flag", "reason"),
    [
        (lambda frames: frames[:0], "too-short", "0 frames"),
        (lambda frames: frames[:31], "too-short", "31 frames, at least 32"),
        (with_infinity, "bad-frames", "frame 50 holds infinity"),
        (with_infinity_in_float32, "bad-frames", "frame 50 holds infinity"),
        (lambda frames: frames + 0j, "bad-frames", "numbers, got complex128"),
        (with_negative, "bad-frames", "frame 50 holds a negative count"),
        (lambda frames: frames[:, :, :3], "bad-frames", r"(96, 300, 3)"),
        (lambda frames: frames[0], "bad-frames", r"(300, 4)"),
        (np.zeros_like, "dark", "96 of 96 frames hold no photons"),
        (np.ones_like, "constant", "all 96 frames are the same"),
    ],
    ids=[
        "no-frames",
        "short",
        "infinity",
        "infinity-float32",
        "complex",
        "negative",
        "another-shape",
        "one-frame",
        "dark",
        "constant",
    ],
)
def test_defect_of_the_data_is_an_answer(frames, partition, spoil, flag, reason):
    reduction = reduce_frames([spoil(frames)], partition, frame_time=0.1, config=CONFIG)
    assert not reduction.quality.ok
    assert flag in reduction.quality.flags
    assert reason in " ".join(reduction.quality.reasons)
    assert_invalid(analyse(reduction, ACQUISITION, Oracle(SURE), config=CONFIG))


def assert_invalid(analysis):
    summary = analysis.summary
    assert (summary["label"], summary["confidence"]) == ("invalid", 1.0)
    assert (summary["probabilities"], summary["cluster"]) == ({}, -1)
    assert summary["quality"]["ok"] is False
    assert summary["quality"]["reasons"]
    assert set(analysis.bins.get("label", ["invalid"])) == {"invalid"}
    assert "embedding" not in analysis.arrays
    assert no_nan(summary)
    assert no_nan(analysis.provenance)


def test_run_without_blocks_is_too_short(partition):
    reduction = reduce_frames([], partition, frame_time=0.1, config=CONFIG)
    assert reduction.quality.flags == ("too-short",)


def test_counts_that_would_not_fit_are_refused_before_the_rest_is_read(
    frames, partition
):
    config = AnalysisSettings(reduction=ReductionConfig(max_bytes=1_000_000))
    blocks = iter([frames] * 20)  # of some 86 kB
    reduction = reduce_frames(blocks, partition, frame_time=0.1, config=config)
    assert reduction.quality.flags == ("too-long",)
    assert "raise reduction.max_bytes" in reduction.quality.reasons[0]
    assert len(list(blocks)) == 8
    assert reduction.two_time.size == 0


@pytest.mark.parametrize(
    "limits", [{"max_frames": 50}, {"max_bytes": 1_000_000}], ids=["frames", "memory"]
)
def test_map_of_a_long_run_is_averaged(frames, partition, limits):
    many = [np.tile(frames, (4, 1, 1))]
    full = reduce_frames(many, partition, frame_time=0.1, config=CONFIG)
    config = AnalysisSettings(reduction=ReductionConfig(averaged_size=96, **limits))
    reduction = reduce_frames(many, partition, frame_time=0.1, config=config)
    blocks = full.two_time.reshape(3, 96, 4, 96, 4).mean(axis=(2, 4))
    assert reduction.two_time == pytest.approx(blocks, rel=1e-5)
    assert reduction.row_time == pytest.approx(0.4)
    assert np.array_equal(reduction.g2, full.g2)


def test_errors_of_the_reader_are_not_swallowed(partition):
    def blocks():
        raise OSError("disk gone")
        yield

    with pytest.raises(OSError, match="disk gone"):
        reduce_frames(blocks(), partition, frame_time=0.1, config=CONFIG)


def test_dark_frames_are_nan_in_the_map_and_harmless_after(frames, partition):
    frames[[10, 60]] = 0
    reduction = reduce_frames([frames], partition, frame_time=0.1, config=CONFIG)
    assert reduction.quality.flags == ("frames-left-out",)
    assert np.isnan(reduction.two_time[:, [10, 60]]).all()
    assert np.isfinite(reduction.g2).all()
    analysis = analyse(reduction, ACQUISITION, Oracle(SURE), config=CONFIG)
    assert analysis.summary["label"] == "stationary"
    assert analysis.summary["physics"]["n_trusted_bins"] == 3


def test_frame_with_nan_is_left_out_alone(frames, partition):
    spoilt = frames.astype(float)
    spoilt[50, 7, 2] = np.nan
    reduction = reduce_frames([spoilt], partition, frame_time=0.1, config=CONFIG)
    assert "1 of 96 frames could not be read: 50" in reduction.quality.reasons
    assert np.flatnonzero(np.isnan(reduction.two_time[0, 0])).tolist() == [50]


@pytest.mark.parametrize("named", [(), (50,)], ids=["found", "named"])
def test_one_saturated_frame_spoils_no_pixel(partition, rng, named):
    good = rng.poisson(2.0, (96, 300, 4)).astype(np.uint16)
    good[50] = 65535
    config = AnalysisSettings(reduction=ReductionConfig(bad_frames=named))
    reduction = reduce_frames([good], partition, frame_time=0.1, config=config)
    assert reduction.quality.ok
    assert np.flatnonzero(np.isnan(reduction.two_time[0, 0])).tolist() == [50]
    assert reduction.g2[:, 0] == pytest.approx(1, abs=0.02)


def test_missing_monitor_is_an_answer(frames, partition):
    config = AnalysisSettings(correlation=CorrelationConfig(normalisation="monitor"))
    reduction = reduce_frames([frames], partition, frame_time=0.1, config=config)
    assert reduction.quality.flags == ("no-monitor",)
    assert "detector.monitor_field" in reduction.quality.reasons[0]


def test_monitor_that_does_not_fit_is_an_answer(frames, partition):
    config = AnalysisSettings(correlation=CorrelationConfig(normalisation="monitor"))
    reduction = reduce_frames(
        [frames], partition, frame_time=0.1, config=config, monitor=np.ones(95)
    )
    assert reduction.quality.flags == ("bad-frames",)
    assert "shape (95,), the counts 96 frames" in reduction.quality.reasons[0]


@pytest.mark.parametrize(
    ("normalisation", "is_part"), [("monitor", True), ("static", False)]
)
def test_monitor_is_in_the_recipe_where_it_decides(
    frames, partition, normalisation, is_part
):
    kind = CorrelationConfig(normalisation=normalisation)
    first, second = (
        reduce_frames(
            [frames],
            partition,
            frame_time=0.1,
            config=AnalysisSettings(correlation=kind),
            monitor=monitor,
        ).recipe
        for monitor in (np.ones(96), np.arange(1.0, 97.0))
    )
    assert (first != second) == is_part


def test_counts_that_no_map_can_hold_are_an_answer(frames, partition):
    counts = frames.astype(np.float64) * 1e-25
    reduction = reduce_frames([counts], partition, frame_time=0.1, config=CONFIG)
    assert not reduction.quality.ok
    assert "scale the counts" in " ".join(reduction.quality.reasons)


@pytest.mark.parametrize(
    ("tau", "is_doubted"), [(8.0, True), (300.0, False)], ids=["fast", "slow"]
)
def test_no_signal_is_doubted_where_g2_decays_within_a_row(
    speckle_counts, tau, is_doubted
):
    # 25 frames a row; exp(-2 Gamma tau) = exp(-2 t / tau).
    movie = speckle_counts(1600, 300, tau, 0.5, 3.0)[:, None]
    config = AnalysisSettings(
        reduction=ReductionConfig(max_frames=1000, averaged_size=64)
    )
    partition = QPartition(np.ones((1, 300), np.int64), [0.01], [np.nan])
    reduction = reduce_frames([movie], partition, frame_time=0.1, config=config)
    assert reduction.fits[0].is_trusted
    model = Oracle({"no-signal": 0.8, "stationary": 0.2})
    analysis = analyse(reduction, ACQUISITION, model, config=config)
    flag, expected = "dynamics-faster-than-map", 0.65 if is_doubted else 0.8
    assert (flag in analysis.summary["quality"]["flags"]) == is_doubted
    assert (flag in analysis.bins["flags"][0]) == is_doubted
    assert analysis.summary["label"] == "no-signal"
    assert analysis.summary["confidence"] == pytest.approx(expected)


def test_frames_named_as_bad_are_left_out(frames, partition):
    config = AnalysisSettings(reduction=ReductionConfig(bad_frames=(3, 4)))
    reduction = reduce_frames([frames], partition, frame_time=0.1, config=config)
    assert reduction.quality.reasons == ("2 of 96 frames are named as bad: 3, 4",)
    assert np.isnan(reduction.two_time[:, [3, 4]]).all()


def test_frames_named_beyond_the_end_of_a_scan_are_passed_over(frames, partition):
    config = AnalysisSettings(reduction=ReductionConfig(bad_frames=(3, 500)))
    reduction = reduce_frames([frames], partition, frame_time=0.1, config=config)
    assert reduction.quality.ok
    assert reduction.quality.reasons == ("1 of 96 frames are named as bad: 3",)


@pytest.mark.parametrize("engine", ["numpy", "fp32", "int8", "events"])
def test_every_engine_gives_the_same_and_is_named(frames, partition, engine):
    config = AnalysisSettings(correlation=CorrelationConfig(engine=engine))
    usual = reduce_frames([frames], partition, frame_time=0.1, config=CONFIG)
    reduction = reduce_frames(
        [frames],
        partition,
        frame_time=0.1,
        config=config,
        choose_engine=choose_engine,
    )
    assert reduction.recipe["engines"] == [engine] * 3
    known = np.isfinite(usual.two_time)
    assert reduction.two_time[known] == pytest.approx(usual.two_time[known], rel=1e-6)


def test_engine_that_needs_torch_is_not_guessed(frames, partition):
    config = AnalysisSettings(correlation=CorrelationConfig(engine="int8"))
    with pytest.raises(ConfigError, match="choose_engine"):
        reduce_frames([frames], partition, frame_time=0.1, config=config)


def test_photon_poor_bin_is_refused_alone(frames, partition):
    frames[:, :, 2] = 0
    frames[::2, 0, 2] = 1
    model = Oracle(SURE)
    reduction = reduce_frames([frames], partition, frame_time=0.1, config=CONFIG)
    analysis = analyse(reduction, ACQUISITION, model, config=CONFIG)
    assert [quality.ok for quality in reduction.bin_quality] == [True, False, True]
    assert reduction.bin_quality[1].flags == ("photon-starved",)
    assert len(model.asked) == 2
    assert analysis.bins["label"] == ["stationary", "invalid", "stationary"]
    assert analysis.bins["quality_ok"] == [True, False, True]
    assert analysis.summary["label"] == "stationary"
    assert not analysis.arrays["embedding"][1].any()


def test_run_with_photon_poor_bins_only_is_invalid(frames, partition):
    frames[:] = 0
    frames[np.arange(0, 96, 2), np.arange(48), 1:] = 1
    config = AnalysisSettings(quality=QualityConfig(max_dark_fraction=0.4))
    reduction = reduce_frames([frames], partition, frame_time=0.1, config=config)
    assert "photon-starved" in reduction.quality.flags
    assert "no q-bin is usable; q-bin 1: " in " ".join(reduction.quality.reasons)
    assert_invalid(analyse(reduction, ACQUISITION, Oracle(SURE), config=config))


def test_constant_frames_without_frame_time_name_each_defect_once(frames, partition):
    reduction = reduce_frames(
        [np.ones_like(frames)], partition, frame_time=None, config=CONFIG
    )
    assert reduction.quality.flags == ("constant", "no-frame-time")
    assert reduction.quality.reasons == (
        "all 96 frames are the same",
        "the frame time is not known, so there are no rates in 1/s",
    )


@pytest.mark.parametrize("frame_time", [None, 0.0, -1.0, float("nan")])
def test_without_frame_time_there_is_a_label_but_no_rate(frames, partition, frame_time):
    reduction = reduce_frames([frames], partition, frame_time=frame_time, config=CONFIG)
    summary = analyse(reduction, ACQUISITION, Oracle(SURE), config=CONFIG).summary
    assert summary["label"] == "stationary"
    assert summary["quality"]["flags"] == ["no-frame-time"]
    assert summary["physics"]["relaxation_rate"] is None
    assert summary["frame_time"] is None


def test_analysis_holds_what_is_published(reduction):
    analysis = analyse(reduction, ACQUISITION, Oracle(SURE), config=CONFIG)
    assert set(analysis.arrays) == {
        "two_time", "g2", "g2_err", "lags", "intensity", "static_intensity",
        "embedding", "roi_map",
    }  # fmt: skip
    assert set(analysis.bins) >= BIN_COLUMNS
    assert {len(column) for column in analysis.bins.values()} == {3}
    assert analysis.summary["q_range"] == [0.01, 0.04]
    assert analysis.summary["sample"] == "gel"
    assert analysis.summary["n_frames"] == N_FRAMES
    assert analysis.summary["model"]["sha256"] == Oracle.sha256
    assert analysis.provenance["partition_sha256"] == reduction.partition.sha256
    assert analysis.provenance["metadata"] == {"T": 300.0}
    assert {
        "python", "ainerd-bluesky", "numpy", "scipy", "h5py", "hdf5plugin", "tiled",
        "bluesky",
    } <= set(analysis.provenance["software"])  # fmt: skip
    for part in (analysis.summary, analysis.recipe, analysis.provenance):
        assert no_nan(part)


def test_label_is_the_most_probable_of_all_bins(reduction):
    model = Oracle({"aging": 0.6, "static": 0.4}, {"aging": 0.3, "static": 0.7})
    summary = analyse(reduction, ACQUISITION, model, config=CONFIG).summary
    assert sum(summary["probabilities"].values()) == pytest.approx(1.0)
    assert summary["confidence"] == max(summary["probabilities"].values())
    assert summary["confidence"] == summary["probabilities"][summary["label"]]
    assert (summary["cluster"], summary["novelty"]) == (3, pytest.approx(0.25))


def test_clear_bin_outvotes_bins_of_noise(frames, partition, rng):
    frames[:, :, 2:] = rng.poisson(3.0, (N_FRAMES, 300, 2))
    reduction = reduce_frames([frames], partition, frame_time=0.1, config=CONFIG)
    nothing = {"no-signal": 1.0}
    model = Oracle({"aging": 1.0}, nothing, nothing)
    summary = analyse(reduction, ACQUISITION, model, config=CONFIG).summary
    assert summary["label"] == "aging"
    assert summary["confidence"] > 0.7
    assert summary["physics"]["q_bin"] == 1


def test_noise_everywhere_is_still_pooled(frames, partition, rng):
    frames[:, :, 1:] = rng.poisson(3.0, (N_FRAMES, 300, 3))
    reduction = reduce_frames([frames], partition, frame_time=0.1, config=CONFIG)
    model = Oracle({"no-signal": 0.8, "static": 0.2})
    summary = analyse(reduction, ACQUISITION, model, config=CONFIG).summary
    assert summary["label"] == "no-signal"
    assert summary["confidence"] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("threshold", "flags"), [(0.5, []), (0.95, ["low-confidence"])]
)
def test_low_confidence_is_a_remark(reduction, threshold, flags):
    config = AnalysisSettings(
        classification=ClassificationConfig(min_confidence=threshold)
    )
    quality = analyse(reduction, ACQUISITION, Oracle(SURE), config=config).summary[
        "quality"
    ]
    assert quality["ok"] is True
    assert quality["flags"] == flags


GEL = ModelWords(
    words=("gel",),
    means=np.ones((1, 4)),
    n_examples=np.array([5]),
    class_means=np.full((1, 4), 20.0),
    whitening=np.eye(4),
    sha256="cd" * 32,
)
"""A word for the place where the oracle puts every map."""


def test_named_word_is_the_label_and_the_model_keeps_its_own(reduction):
    analysis = analyse(reduction, ACQUISITION, Oracle(SURE), config=CONFIG, words=GEL)
    summary = analysis.summary
    assert (summary["label"], summary["model_label"]) == ("gel", "stationary")
    assert summary["confidence"] == summary["probabilities"]["gel"] > 0.99
    assert sum(summary["probabilities"].values()) == pytest.approx(1.0)
    assert analysis.bins["label"] == ["gel"] * 3
    assert analysis.bins["model_label"] == ["stationary"] * 3


def test_words_are_part_of_the_key_only_where_there_are_any(reduction):
    model = Oracle(SURE)
    without = analyse(reduction, ACQUISITION, model, config=CONFIG)
    named = analyse(reduction, ACQUISITION, model, config=CONFIG, words=GEL)
    assert "vocabulary" not in without.recipe
    assert named.recipe["vocabulary"] == named.summary["vocabulary"] == GEL.sha256
    assert without.summary["model_label"] == without.summary["label"]
    assert without.key != named.key


def test_bins_hold_what_their_label_was_pooled_from(reduction):
    model = Oracle({"aging": 0.6, "static": 0.4}, {"aging": 0.3, "static": 0.7})
    analysis = analyse(reduction, ACQUISITION, model, config=CONFIG)
    bins = analysis.bins
    assert sum(bins["weight"]) == pytest.approx(1.0)
    pooled = np.dot(bins["weight"], bins["p_aging"])
    assert pooled == pytest.approx(analysis.summary["probabilities"]["aging"])


def test_run_whose_maps_the_model_refuses_is_invalid(reduction):
    analysis = analyse(reduction, ACQUISITION, Oracle({}), config=CONFIG)
    assert analysis.summary["label"] == "invalid"
    assert analysis.summary["quality"]["flags"] == ["constant"]


def test_unreadable_run_is_invalid_with_its_reason():
    reduction = refused("no-partition", "partition has shape (4, 4), frames (5, 5)")
    analysis = analyse(reduction, ACQUISITION, Oracle(SURE), config=CONFIG)
    assert_invalid(analysis)
    assert analysis.arrays == {}
    assert analysis.bins == {}
    assert analysis.summary["quality"]["flags"] == ["no-partition"]


def key_of(reduction, acquisition=ACQUISITION, model=None, config=CONFIG):
    model = model or Oracle(SURE)
    return analyse(reduction, acquisition, model, config=config).key


def test_same_inputs_give_the_same_key(frames, partition, reduction):
    again = reduce_frames([frames], partition, frame_time=0.1, config=CONFIG)
    assert key_of(again) == key_of(reduction)
    assert key_of(reduction).startswith("xpcs-")
    assert len(key_of(reduction)) == 17


def test_key_does_not_depend_on_the_machine(frames, partition, reduction):
    elsewhere = Acquisition("run-1", sample="gel", source="/mnt/other/frames.h5")
    settings = AnalysisSettings(
        reduction=ReductionConfig(block_frames=7),
        classification=ClassificationConfig(model="/home/someone/model"),
    )
    again = reduce_frames([frames], partition, frame_time=0.1, config=settings)
    assert key_of(again, elsewhere, config=settings) == key_of(reduction)


def test_key_changes_with_what_decides_the_result(frames, partition, reduction):
    labels = partition.roi_map.copy()
    labels[0, 0] = 1
    other_partition = QPartition(labels, partition.q_values, partition.phi_values)
    other_settings = AnalysisSettings(reduction=ReductionConfig(lags_per_level=4))
    other_model = SimpleNamespace(
        name="oracle", version="1", sha256="cd" * 32, classify=Oracle(SURE).classify
    )

    def reduce(some_partition=partition, frame_time=0.1, config=CONFIG):
        return reduce_frames(
            [frames], some_partition, frame_time=frame_time, config=config
        )

    keys = [
        key_of(reduction),
        key_of(reduction, Acquisition("run-2", source="/data/a/frames.h5")),
        key_of(reduction, model=other_model),
        key_of(reduce(other_partition)),
        key_of(reduce(frame_time=0.2)),
        key_of(reduce(config=other_settings)),
    ]
    assert len(set(keys)) == len(keys)


def test_archived_maps_are_analysed_like_frames(reduction):
    archived = reduce_maps(
        reduction.two_time, q_values=reduction.q_values, frame_time=0.1
    )
    analysis = analyse(archived, ACQUISITION, Oracle(SURE), config=CONFIG)
    assert analysis.summary["label"] == "stationary"
    assert "intensity" not in analysis.arrays
    assert analysis.arrays["g2"].shape == (3, N_FRAMES - 1)
    for fit, expected in zip(archived.fits[:2], reduction.fits, strict=False):
        error = np.hypot(fit.relaxation_rate_err, expected.relaxation_rate_err)
        assert abs(fit.relaxation_rate - expected.relaxation_rate) < 3 * error


def test_single_map_without_q_is_one_bin(reduction):
    archived = reduce_maps(reduction.two_time[1])
    analysis = analyse(archived, ACQUISITION, Oracle(SURE), config=CONFIG)
    assert analysis.summary["n_q_bins"] == 1
    assert analysis.summary["q_range"] is None
    assert analysis.summary["physics"]["q"] is None
    assert no_nan(analysis.summary)


@pytest.mark.parametrize(
    ("maps", "flag"),
    [
        (np.ones((1, 40, 50)), "not-square"),
        (np.ones((1, 16, 16)), "too-small"),
        (np.full((2, 40, 40), np.nan), "nan"),
        (np.ones((2, 40, 40)), "constant"),
    ],
    ids=["rectangle", "small", "nan", "constant"],
)
def test_archived_map_with_a_defect_is_invalid(maps, flag):
    reduction = reduce_maps(maps)
    assert reduction.quality.flags == (flag,)
    assert_invalid(analyse(reduction, ACQUISITION, Oracle(SURE), config=CONFIG))


def test_bins_of_an_archive_keep_their_labels_and_remarks(reduction):
    maps = reduction.two_time.copy()
    maps[0, 7], maps[0, :, 7] = np.nan, np.nan
    archived = reduce_maps(maps, q_values=reduction.q_values, q_bins=[2, 5, 9])
    analysis = analyse(archived, ACQUISITION, Oracle(SURE), config=CONFIG)
    assert analysis.bins["q_bin"] == [2, 5, 9]
    assert analysis.bins["flags"] == ["missing-frames", "", ""]
    assert analysis.summary["label"] == "stationary"
    assert analysis.summary["quality"] == {
        "ok": True,
        "flags": ["missing-frames"],
        "reasons": ["q-bin 2: 1 of 96 frames have no finite value"],
    }
    physics = analysis.summary["physics"]
    assert (physics["q_bin"], physics["bin_index"]) == (5, 1)


class Numbering(Oracle):
    """Gives each map it is asked about a fingerprint of its own."""

    def classify(self, maps):
        answers = super().classify(maps)
        return [
            replace(answer, embedding=np.array([number, 1 / 3], np.float32))
            for number, answer in enumerate(answers)
        ]


def test_fingerprint_is_pooled_like_the_label(reduction):
    analysis = analyse(reduction, ACQUISITION, Numbering(SURE), config=CONFIG)

    weights = np.array(analysis.bins["weight"])
    mean_number = float(weights @ [0, 1, 2])
    assert analysis.summary["fingerprint"] == [round(mean_number, 5), 0.33333]
    assert json.loads(json.dumps(analysis.summary))["fingerprint"][1] == 0.33333


@pytest.mark.parametrize("answer", [SURE, {}], ids=["by-the-gate", "by-the-model"])
def test_refused_run_has_no_fingerprint(reduction, answer):
    refusal = refused("dark", "no photons") if answer else reduction
    analysis = analyse(refusal, ACQUISITION, Oracle(answer), config=CONFIG)
    assert analysis.summary["label"] == "invalid"
    assert analysis.summary["fingerprint"] is None
