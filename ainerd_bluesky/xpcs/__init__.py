"""X-ray photon correlation spectroscopy: from photon counts to relaxation rates.

Conventions, here and in everything that is stored:

* A two-time map has its origin in the upper left, t1 along rows and t2 along columns,
  and all its elements are filled.
* The baseline is 1: frames that have nothing in common give C = 1.
* The diagonal of a map holds the shot noise of each frame with itself. It is kept in
  the map and left out of g2 and of every fit.
* Frames without photons are nan in a map and do not count in g2.
* q-bins are numbered from 1; 0 in a `roi_map` is a pixel that is not used.
"""

from ainerd_bluesky.xpcs.aging import (
    RelaxationByAge,
    aging_exponent,
    fit_relaxation_by_age,
)
from ainerd_bluesky.xpcs.map_reduction import reduce_maps
from ainerd_bluesky.xpcs.one_time import (
    OneTime,
    g2_from_two_time,
    multi_tau_g2,
    multi_tau_lags,
)
from ainerd_bluesky.xpcs.quality import Quality, check_map, check_series
from ainerd_bluesky.xpcs.reduction import Reduction, reduce_frames, refused
from ainerd_bluesky.xpcs.relaxation import RelaxationFit, fit_relaxation
from ainerd_bluesky.xpcs.roi import QPartition, ring_partition
from ainerd_bluesky.xpcs.series import PixelSeries
from ainerd_bluesky.xpcs.two_time import two_time_map, two_time_maps

__all__ = [
    "OneTime",
    "PixelSeries",
    "QPartition",
    "Quality",
    "Reduction",
    "RelaxationByAge",
    "RelaxationFit",
    "aging_exponent",
    "check_map",
    "check_series",
    "fit_relaxation",
    "fit_relaxation_by_age",
    "g2_from_two_time",
    "multi_tau_g2",
    "multi_tau_lags",
    "reduce_frames",
    "reduce_maps",
    "refused",
    "ring_partition",
    "two_time_map",
    "two_time_maps",
]
