"""The quality gate: what must hold before anything is said about dynamics."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.config import QualityConfig
from ainerd_bluesky.xpcs.data.bin_counts import (
    BinCounts,
    CountSeries,
    frame_sums,
    repeats_before,
    row_sums,
)
from ainerd_bluesky.xpcs.quality.bad_frames import LOST_FRACTION
from ainerd_bluesky.xpcs.quality.photon_budget import (
    chance_of_none,
    expected_signal_to_noise,
)
from ainerd_bluesky.xpcs.quality.pixels import PixelDefects, find_pixel_defects

__all__ = [
    "Quality",
    "check_bin",
    "check_series",
]

# From here on, counting alone takes no frame below a tenth of the level.
_LOST_MIN_PHOTONS = 20


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
