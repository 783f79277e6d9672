"""What a reduced run says about the sample: rate, dependence on q, aging."""

from dataclasses import asdict
from typing import Any

import numpy as np

from ainerd_bluesky.xpcs.reduction.result import Reduction
from ainerd_bluesky.xpcs.relaxation.aging import (
    RelaxationByAge,
    aging_exponent,
    fit_age_lag,
    fit_relaxation_by_age,
)
from ainerd_bluesky.xpcs.relaxation.fit import RelaxationFit, fit_power_law
from ainerd_bluesky.xpcs.relaxation.stationarity import non_equilibrium_index

__all__ = ["describe_relaxation"]

# Ages over more than a decade, each with enough frames to see a decay.
_N_AGES = 8


def describe_relaxation(reduction: Reduction) -> dict[str, Any]:
    """Describe the relaxation of a run in a few numbers.

    Rates depend on q. For runs to be compared they are all told at the same q, that of
    the reference bin: the middle one of the rings in ascending q (the lower of two; of
    all bins where there are no whole rings). Where its fit is not trusted, the trusted
    bin nearest to it in q stands in.

    Parameters
    ----------
    reduction : Reduction
        The run.

    Returns
    -------
    dict
        The fit of the reference bin (names of `RelaxationFit`, `relaxation_time`), its
        `q`, its label `q_bin` and its index `bin_index` from 0; `q_exponent`, the p of
        Gamma ~ q^p (2 for diffusion, 1 for ballistic motion), from three or more
        trusted bins;
        `relaxation_rate_first` and `relaxation_rate_last`, of the first and the last
        trusted eighth of the run; `aging_exponent`, the mu of a relaxation time that
        grows as age^mu; `non_equilibrium_index`, 0 where the dynamics do not change
        with age, see the function of that name. Times in seconds, q in 1/angstrom;
        None or nan where unknown.
    """
    # A fit is trusted only in a usable bin; a refused run may still have some.
    trusted = [
        index
        for index, fit in enumerate(reduction.fits)
        if reduction.quality.ok and fit.is_trusted
    ]
    index = _nearest_to_reference(reduction, trusted)
    fit = RelaxationFit.unknown() if index is None else reduction.fits[index]
    exponent, exponent_err = fit_power_law(
        reduction.q_values[trusted],
        [reduction.fits[index].relaxation_rate for index in trusted],
        [reduction.fits[index].relaxation_rate_err for index in trusted],
    )
    return {
        **asdict(fit),
        "relaxation_time": fit.relaxation_time,
        "q": None if index is None else float(reduction.q_values[index]),
        "q_bin": None if index is None else int(reduction.q_bins[index]),
        "bin_index": index,
        "q_exponent": exponent,
        "q_exponent_err": exponent_err,
        "n_trusted_bins": len(trusted),
        **_describe_aging(reduction, index),
        **_describe_change(reduction, index),
    }


def _nearest_to_reference(reduction: Reduction, trusted: list[int]) -> int | None:
    """Return the index of the trusted bin that is, or is nearest to, the reference."""
    if not trusted:
        return None
    n_q_bins = len(reduction.q_values)
    is_known = np.isfinite(reduction.q_values).all()
    position = reduction.q_values if is_known else np.arange(n_q_bins)
    rings = np.flatnonzero(np.isnan(reduction.phi_values))
    candidates = rings if len(rings) > 0 else np.arange(n_q_bins)
    ascending = candidates[np.argsort(position[candidates], kind="stable")]
    middle = ascending[(len(ascending) - 1) // 2]
    distance = np.abs(position - position[middle])
    # Sectors of one ring are equally near: then the reference itself, then the first.
    return min(trusted, key=lambda index: (distance[index], index != middle, index))


def _describe_aging(reduction: Reduction, index: int | None) -> dict[str, float | None]:
    names = ("relaxation_rate_first", "relaxation_rate_last")
    nothing = dict.fromkeys((*names, "aging_exponent", "aging_exponent_err"))
    if index is None or reduction.frame_time is None:
        return nothing
    by_age = _fit_by_age(reduction, index, reduction.frame_time)
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


def _describe_change(
    reduction: Reduction, index: int | None
) -> dict[str, float | None]:
    names = ("non_equilibrium_index", "non_equilibrium_index_err")
    if index is None:
        return dict.fromkeys(names)
    return dict(
        zip(names, non_equilibrium_index(reduction.two_time[index]), strict=True)
    )


def _fit_by_age(reduction: Reduction, index: int, frame_time: float) -> RelaxationByAge:
    # Counts tell their errors; an archived map has only its own scatter.
    if reduction.age_lags:
        return fit_age_lag(reduction.age_lags[index], frame_time)
    width = max(reduction.n_frames // _N_AGES, 1)
    return fit_relaxation_by_age(
        reduction.two_time[index], frame_time, age_width=width, age_step=width
    )
