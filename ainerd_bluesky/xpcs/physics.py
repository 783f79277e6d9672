"""What a reduced run says about the sample: rate, dependence on q, aging."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.xpcs.aging import aging_exponent, fit_relaxation_by_age
from ainerd_bluesky.xpcs.reduction import Reduction
from ainerd_bluesky.xpcs.relaxation import RelaxationFit, fit_power_law

__all__ = ["describe_relaxation"]

_N_AGES = 8


def describe_relaxation(
    reduction: Reduction, signals: NDArray[np.float64]
) -> dict[str, Any]:
    """Describe the relaxation of a run in a few numbers.

    Parameters
    ----------
    reduction : Reduction
        The run.
    signals : ndarray of float64, shape (n_q_bins,)
        How clear each bin is; see `signal_to_noise`.

    Returns
    -------
    dict
        The fit of the trusted bin with the clearest signal (names of `RelaxationFit`,
        `relaxation_time`, `q`, `q_bin`); `q_exponent`, the p of Gamma ~ q^p (2 for
        diffusion, 1 for ballistic motion), from three or more trusted bins;
        `relaxation_rate_first` and `relaxation_rate_last`, of the first and the last
        trusted eighth of the run; `aging_exponent`, the mu of a relaxation time that
        grows as age^mu. Times in seconds, q in 1/angstrom; None or nan where unknown.
    """
    trusted = [
        index
        for index, fit in enumerate(reduction.fits)
        if reduction.quality.ok and fit.is_trusted
    ]
    best = max(trusted, key=lambda index: float(signals[index]), default=None)
    fit = RelaxationFit.unknown() if best is None else reduction.fits[best]
    exponent, exponent_err = fit_power_law(
        reduction.q_values[trusted],
        [reduction.fits[index].relaxation_rate for index in trusted],
        [reduction.fits[index].relaxation_rate_err for index in trusted],
    )
    return {
        **asdict(fit),
        "relaxation_time": fit.relaxation_time,
        "q": None if best is None else float(reduction.q_values[best]),
        "q_bin": None if best is None else best + 1,
        "q_exponent": exponent,
        "q_exponent_err": exponent_err,
        "n_trusted_bins": len(trusted),
        **_describe_aging(reduction, best),
    }


def _describe_aging(reduction: Reduction, best: int | None) -> dict[str, float | None]:
    names = ("relaxation_rate_first", "relaxation_rate_last")
    nothing = dict.fromkeys((*names, "aging_exponent", "aging_exponent_err"))
    if best is None or reduction.frame_time is None:
        return nothing
    width = max(reduction.n_frames // _N_AGES, 1)
    by_age = fit_relaxation_by_age(
        reduction.two_time[best], reduction.frame_time, age_width=width, age_step=width
    )
    rates = by_age.relaxation_rate[by_age.is_trusted]
    if len(rates) == 0:
        return nothing
    exponent, exponent_err = aging_exponent(by_age)
    return {
        "relaxation_rate_first": float(rates[0]),
        "relaxation_rate_last": float(rates[-1]),
        "aging_exponent": exponent,
        "aging_exponent_err": exponent_err,
    }
