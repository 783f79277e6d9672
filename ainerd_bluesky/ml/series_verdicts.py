"""What a gate says about each series of a file."""

from dataclasses import dataclass

from ainerd_bluesky.errors import FrameStackError
from ainerd_bluesky.ml.series_data import SeriesSet
from ainerd_bluesky.ml.series_features import series_features
from ainerd_bluesky.ml.series_gate import SeriesGate

__all__ = ["SeriesVerdict", "judge_series"]


@dataclass(frozen=True)
class SeriesVerdict:
    """What a gate says about one series.

    Parameters
    ----------
    filename, roi : str
        Where the series comes from.
    good : float or None
        Probability of being good; None for a series that cannot be described.
    passes : bool
        Whether it may be analysed.
    reasons : tuple of str
        What speaks against it; empty if it passes.
    """

    filename: str
    roi: str
    good: float | None
    passes: bool
    reasons: tuple[str, ...]


def judge_series(gate: SeriesGate, data: SeriesSet) -> list[SeriesVerdict]:
    """Judge every series, also those that cannot be described.

    Parameters
    ----------
    gate : SeriesGate
        Fitted to what `series_features` gives.
    data : SeriesSet
        Series with or without labels.

    Returns
    -------
    list of SeriesVerdict
        In the order of the series.
    """
    return [_verdict(gate, data, index) for index in range(len(data))]


def _verdict(gate: SeriesGate, data: SeriesSet, index: int) -> SeriesVerdict:
    source = str(data.filenames[index]), str(data.rois[index])
    try:
        X = series_features(data.series[index])[None]
    except FrameStackError as error:
        return SeriesVerdict(*source, None, passes=False, reasons=(str(error),))
    passes = bool(gate.passes(X)[0])
    reasons = () if passes else tuple(gate.reasons(X)[0])
    good = float(gate.predict_proba(X)[0, 1])
    return SeriesVerdict(*source, good, passes=passes, reasons=reasons)
