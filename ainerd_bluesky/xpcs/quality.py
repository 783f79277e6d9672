"""The quality gate: what must hold before anything is said about dynamics."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, repeat

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.config import QualityConfig
from ainerd_bluesky.xpcs.bad_frames import LOST_FRACTION
from ainerd_bluesky.xpcs.bin_counts import (
    BinCounts,
    CountSeries,
    frame_sums,
    repeats_before,
    row_sums,
)
from ainerd_bluesky.xpcs.photon_budget import chance_of_none, expected_signal_to_noise
from ainerd_bluesky.xpcs.pixels import PixelDefects, find_pixel_defects

__all__ = [
    "Quality",
    "check_bin",
    "check_map",
    "check_series",
    "signal_to_noise",
]

MIN_MAP_FRAMES = 32
"""Smallest two-time map that a statement is made about."""

# From here on, counting alone takes no frame below a tenth of the level.
_LOST_MIN_PHOTONS = 20
# Noise has one maximum, whatever its spread: one element in twenty there is a limit.
_CLIPPED_FRACTION = 0.05
# One frame that outweighs all the others is an event, and no dynamics.
_EVENT_SHARE = 0.5
# Above what rounding can do, far below what half a map does.
_ASYMMETRY = 0.01
# A few units in the last place of float32.
_FLAT = 1e-6


@dataclass(frozen=True)
class Quality:
    """Outcome of a check.

    Parameters
    ----------
    ok : bool
        Whether a statement about dynamics may be made.
    flags : tuple of str
        Short words for what was found; some of them (`low-confidence`) go with
        `ok`.
    reasons : tuple of str
        One sentence for each flag, with the values that led to it.
    """

    ok: bool
    flags: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @classmethod
    def good(cls) -> "Quality":
        """Return the outcome of a check that found nothing."""
        return cls(ok=True)

    @classmethod
    def refusal(cls, flag: str, reason: str) -> "Quality":
        """Return the outcome that forbids any statement about dynamics."""
        return cls(ok=False, flags=(flag,), reasons=(reason,))

    @classmethod
    def remark(cls, flag: str, reason: str) -> "Quality":
        """Return the outcome that lets a statement stand, with a caution."""
        return cls(ok=True, flags=(flag,), reasons=(reason,))

    def merge(self, *others: "Quality") -> "Quality":
        """Return all findings together, each flag once: ok only if every one is."""
        every = (self, *others)
        # Several checks see the same defect; the first one saw most of the data.
        reasons: dict[str, str] = {}
        for quality in every:
            for flag, reason in zip(quality.flags, quality.reasons, strict=True):
                reasons.setdefault(flag, reason)
        return Quality(
            ok=all(quality.ok for quality in every),
            flags=tuple(reasons),
            reasons=tuple(reasons.values()),
        )


def check_series(
    series: CountSeries,
    config: QualityConfig,
    defects: Sequence[PixelDefects] | None = None,
) -> Quality:
    """Look for defects of the data as a whole.

    Parameters
    ----------
    series : PixelSeries or EventSeries
        The run.
    config : QualityConfig
        Thresholds.
    defects : sequence of PixelDefects, optional
        What is wrong with the pixels of each q-bin; looked for if not given.

    Returns
    -------
    Quality
        Not ok with `too-short`, `saturated`, `dark`, `beam-lost`, `constant` or
        `repeated-frames`. Bins with few photons are the business of `check_bin`,
        single frames that of `find_bad_frames`.
    """
    n_frames = series.n_frames
    if n_frames < config.min_frames:
        return Quality.refusal(
            "too-short",
            f"{n_frames} frames, at least {config.min_frames} are needed",
        )
    n_pixels, n_saturated = 0, 0
    totals = np.zeros(n_frames)
    is_repeated = np.ones(n_frames - 1, bool)
    known = repeat(None) if defects is None else defects
    for counts, bin_defects in zip(series, known, strict=defects is not None):
        found = bin_defects or find_pixel_defects(counts, series.saturation)
        n_pixels += counts.shape[1]
        n_saturated += int(found.is_saturated.sum())
        # A hot pixel counts on when the beam is lost, and would hide it.
        totals += frame_sums(counts, found.is_usable)
        is_repeated &= repeats_before(counts)
    is_repeated &= totals[1:] > 0
    findings = [
        *_saturation_findings(n_saturated, n_pixels, config),
        *_beam_findings(totals, config),
        *_repetition_findings(is_repeated, config),
    ]
    return Quality.good().merge(*findings)


def check_bin(
    counts: BinCounts,
    config: QualityConfig,
    saturation: int | None = None,
    defects: PixelDefects | None = None,
    n_rows: int | None = None,
) -> Quality:
    """Ask whether one q-bin can carry a two-time map.

    Parameters
    ----------
    counts : ndarray of shape (n_frames, n_pixels), or BinEvents
        Photons of the bin, all its pixels.
    config : QualityConfig
        Thresholds.
    saturation : int, optional
        Upper limit of the detector's numbers.
    defects : PixelDefects, optional
        What is wrong with the pixels; looked for if not given.
    n_rows : int, optional
        Rows of the map, where they are averaged over frames.

    Returns
    -------
    Quality
        Not ok with `empty-bin`, `saturated` or `photon-starved`; ok with the remark
        `bad-pixels` where some are left out.
    """
    n_pixels = counts.shape[1]
    if n_pixels < 2:
        return Quality.refusal(
            "empty-bin", f"{n_pixels} pixels in the q-bin, a correlation takes two"
        )
    defects = defects or find_pixel_defects(counts, saturation)
    refusals = _saturation_findings(int(defects.is_saturated.sum()), n_pixels, config)
    totals = row_sums(frame_sums(counts, defects.is_usable), n_rows)
    n_usable = int(defects.is_usable.sum())
    refusals += _photon_findings(totals, n_usable, config)
    if refusals:
        return refusals[0]
    if n_usable < n_pixels:
        return Quality.remark(
            "bad-pixels",
            f"{n_pixels - n_usable} of {n_pixels} pixels left out: {defects.summary}",
        )
    return Quality.good()


def check_map(
    two_time: NDArray[np.floating], *, max_missing_fraction: float = 0.1
) -> Quality:
    """Ask whether an array is a two-time map that a statement can be made about.

    Parameters
    ----------
    two_time : ndarray of shape (n_frames, n_frames)
        The map; rows and columns of frames without photons may be nan. The diagonal
        is not looked at.
    max_missing_fraction : float
        Largest fraction of such frames.

    Returns
    -------
    Quality
        Not ok with `not-square`, `not-numbers`, `too-small`, `nan`, `constant`,
        `asymmetric`, `blank` (rows of zeros between others), `saturated` (many elements
        at one upper limit) or `single-event` (one frame holds most of the variation);
        with the remark `missing-frames` where a few rows are nan.
    """
    two_time = np.asarray(two_time)
    if two_time.ndim != 2 or two_time.shape[0] != two_time.shape[1]:
        return Quality.refusal(
            "not-square", f"a two-time map is square, got shape {two_time.shape}"
        )
    if two_time.dtype.kind not in "biuf":
        return Quality.refusal(
            "not-numbers", f"a two-time map holds real numbers, got {two_time.dtype}"
        )
    n_frames = len(two_time)
    if n_frames < MIN_MAP_FRAMES:
        return Quality.refusal(
            "too-small", f"{n_frames} frames, at least {MIN_MAP_FRAMES} are needed"
        )
    values = two_time.astype(np.float64)
    np.fill_diagonal(values, np.nan)
    is_known = np.isfinite(values)
    # A frame is missing as row and as column; with only one of them the map is damaged.
    is_present = is_known.any(axis=0) | is_known.any(axis=1)
    n_missing = n_frames - int(is_present.sum())
    missing = f"{n_missing} of {n_frames} frames have no finite value"
    if n_missing > max_missing_fraction * n_frames:
        most = f"at most {100 * max_missing_fraction:g} % may be missing"
        return Quality.refusal("nan", f"{missing}, {most}")
    values = values[np.ix_(is_present, is_present)]
    n_unknown = int((~np.isfinite(values)).sum()) - len(values)
    if n_unknown > 0:
        return Quality.refusal("nan", f"{n_unknown} elements of the map are not finite")
    remarks = [Quality.remark("missing-frames", missing)] if n_missing > 0 else []
    return Quality.good().merge(*remarks, *islice(_map_refusals(values), 1))


def signal_to_noise(two_time: NDArray[np.floating]) -> float:
    """Compare the contrast of a two-time map with the noise of its mean.

    Parameters
    ----------
    two_time : ndarray of shape (n_frames, n_frames)
        The map, baseline 1; nan where unknown.

    Returns
    -------
    float
        Mean next to the diagonal, above 1 or above the mean far from it, over the
        standard error of a mean over n_frames elements; 0 where nothing is known. About
        1 for a map without signal.
    """
    n_frames = len(two_time)
    # The white noise of a map does not go on along a diagonal, correlations do: the
    # differences of neighbours there hold the noise alone.
    known = np.where(np.isfinite(two_time), two_time, np.nan)
    near = [np.diagonal(known, lag).astype(np.float64) for lag in (1, 2, 3)]
    steps = np.concatenate([np.diff(values) for values in near])
    steps = steps[np.isfinite(steps)]
    level = np.concatenate(near)
    level = level[np.isfinite(level)]
    far = known[: n_frames // 3, -(n_frames // 3) :]
    far = far[np.isfinite(far)]
    if len(steps) < 2 or len(level) == 0:
        return 0.0
    reference = min(1.0, float(far.mean())) if far.size > 0 else 1.0
    contrast = max(float(level.mean()) - reference, 0.0)
    noise = float(steps.std() / np.sqrt(2 * n_frames))
    return contrast / max(noise, 1e-9)


def _map_refusals(values: NDArray[np.float64]) -> Iterator[Quality]:
    """Yield what is wrong with a map that is finite off its nan diagonal."""
    off = values[~np.eye(len(values), dtype=bool)]
    spread = float(off.std())
    if spread <= _FLAT * abs(float(off.mean())):
        yield Quality.refusal(
            "constant", f"all elements have the value {off.mean():.6g}"
        )
    asymmetry = float(np.nanmean(np.abs(values - values.T)))
    if asymmetry > _ASYMMETRY * spread:
        yield Quality.refusal(
            "asymmetric",
            f"C(t1, t2) and C(t2, t1) differ by {asymmetry:.3g} in the mean, the "
            f"spread of the map is {spread:.3g}",
        )
    is_zero = np.nan_to_num(values) == 0
    is_blank = is_zero.all(axis=1)
    # Maps of few photons are full of single zeros: those are counts, not gaps.
    if is_blank.mean() > 0.1 and is_zero[~is_blank][:, ~is_blank].mean() < 0.5:
        yield Quality.refusal(
            "blank", f"{int(is_blank.sum())} of {len(values)} rows hold only zeros"
        )
    clipped = float((off == off.max()).mean())
    if clipped > _CLIPPED_FRACTION:
        yield Quality.refusal(
            "saturated",
            f"{100 * clipped:.1f} % of the elements sit at the maximum {off.max():.4g}",
        )
    deviation = np.nan_to_num((values - np.median(off)) ** 2)
    share = 2 * float(deviation.sum(axis=1).max()) / float(deviation.sum())
    if share > _EVENT_SHARE:
        yield Quality.refusal(
            "single-event",
            f"frame {int(deviation.sum(axis=1).argmax())} holds "
            f"{100 * share:.0f} % of the variation of the map",
        )


def _saturation_findings(
    n_saturated: int, n_pixels: int, config: QualityConfig
) -> list[Quality]:
    if n_saturated <= config.max_saturated_fraction * n_pixels:
        return []
    return [
        Quality.refusal(
            "saturated",
            f"{n_saturated} of {n_pixels} pixels are masked or at the detector's "
            f"upper limit, at most {100 * config.max_saturated_fraction:g} % may be",
        )
    ]


def _photon_findings(
    totals: NDArray[np.float64], n_pixels: int, config: QualityConfig
) -> list[Quality]:
    """Judge the photons of each row in the usable pixels, shape (n_rows,)."""
    n_frames, n_lit = len(totals), int((totals > 0).sum())
    mean = float(totals.sum()) / max(n_lit, 1)
    n_dark = n_frames - n_lit
    found = f"{mean:.3g} photons per frame in the q-bin's {n_pixels} usable pixels"
    is_patchy = n_dark > config.max_dark_fraction * n_frames
    if mean < config.min_photons or is_patchy or n_pixels < 2:
        return [
            Quality.refusal(
                "photon-starved",
                f"{found} and {n_dark} of {n_frames} frames without any; needed are "
                f"{config.min_photons:g} and at most "
                f"{100 * config.max_dark_fraction:g} %",
            )
        ]
    snr = expected_signal_to_noise(
        mean / n_pixels, config.contrast, n_pixels, n_lit * (n_lit - 1) / 2
    )
    if snr < config.min_signal_to_noise:
        return [
            Quality.refusal(
                "photon-starved",
                f"{found} and {n_frames} frames show speckle of contrast "
                f"{config.contrast:g} with a signal to noise of at most {snr:.2g}; "
                f"needed is {config.min_signal_to_noise:g}",
            )
        ]
    return []


def _beam_findings(totals: NDArray[np.float64], config: QualityConfig) -> list[Quality]:
    """Judge the photons of each frame, shape (n_frames,)."""
    n_frames, most = len(totals), 100 * config.max_dark_fraction
    n_dark = int((totals == 0).sum())
    # Frames that are empty by chance mean few photons, not a beam that was off.
    by_chance = n_frames * chance_of_none(totals.sum() / max(n_frames - n_dark, 1))
    if n_dark - by_chance > config.max_dark_fraction * n_frames:
        reason = f"{n_dark} of {n_frames} frames hold no photons"
        return [Quality.refusal("dark", f"{reason}, at most {most:g} % may be dark")]
    # The brightest tenth of the frames set the level: a loss may last most of a run.
    level = float(np.quantile(totals, 0.9))
    n_lost = int((totals < LOST_FRACTION * level).sum())
    if level >= _LOST_MIN_PHOTONS and n_lost > config.max_dark_fraction * n_frames:
        return [
            Quality.refusal(
                "beam-lost",
                f"{n_lost} of {n_frames} frames hold less than "
                f"{100 * LOST_FRACTION:g} % of the usual {level:.4g} photons",
            )
        ]
    return []


def _repetition_findings(
    is_repeated: NDArray[np.bool_], config: QualityConfig
) -> list[Quality]:
    """Judge which frames, from the second on, equal the one before."""
    n_frames, n_repeated = len(is_repeated) + 1, int(is_repeated.sum())
    if n_repeated == n_frames - 1:
        return [Quality.refusal("constant", f"all {n_frames} frames are the same")]
    if n_repeated > config.max_dark_fraction * n_frames:
        return [
            Quality.refusal(
                "repeated-frames",
                f"{n_repeated} of {n_frames} frames equal the one before them",
            )
        ]
    return []
