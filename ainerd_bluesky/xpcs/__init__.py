"""X-ray photon correlation spectroscopy: from photon counts to relaxation rates.

Conventions, here and in everything that is stored:

* A two-time map has its origin in the upper left, t1 along rows and t2 along columns,
  and all its elements are filled.
* The baseline is 1: frames that have nothing in common give C = 1.
* The diagonal of a map holds the shot noise of each frame with itself. It is kept in
  the map and left out of g2 and of every fit.
* Frames without photons are nan in a map and do not count in g2 where their own mean
  would divide them; for the normalisations `symmetric`, `monitor` and `none` they are
  data like any others.
* q-bins are numbered from 1; 0 in a `roi_map` is a pixel that is not used.
"""

from ainerd_bluesky.xpcs.data.bin_events import BinEvents
from ainerd_bluesky.xpcs.data.events import EventSeries
from ainerd_bluesky.xpcs.data.roi import QPartition, ring_partition
from ainerd_bluesky.xpcs.data.series import PixelSeries
from ainerd_bluesky.xpcs.lags.age_lag import AgeLag, age_lag_map
from ainerd_bluesky.xpcs.lags.long_scan import LongScan
from ainerd_bluesky.xpcs.lags.multi_resolution import MultiResolutionTwoTime
from ainerd_bluesky.xpcs.lags.one_time import (
    OneTime,
    g2_from_two_time,
    multi_tau_g2,
    multi_tau_lags,
)
from ainerd_bluesky.xpcs.quality.bad_frames import find_bad_frames
from ainerd_bluesky.xpcs.quality.checks import Quality, check_series
from ainerd_bluesky.xpcs.quality.map_quality import check_map
from ainerd_bluesky.xpcs.quality.pixels import find_pixel_defects
from ainerd_bluesky.xpcs.reduction.frames import reduce_events, reduce_frames
from ainerd_bluesky.xpcs.reduction.maps import reduce_maps
from ainerd_bluesky.xpcs.reduction.result import Reduction, refused
from ainerd_bluesky.xpcs.relaxation.aging import (
    RelaxationByAge,
    aging_exponent,
    fit_age_lag,
    fit_relaxation_by_age,
)
from ainerd_bluesky.xpcs.relaxation.fit import RelaxationFit, fit_relaxation
from ainerd_bluesky.xpcs.relaxation.stationarity import non_equilibrium_index
from ainerd_bluesky.xpcs.two_time.correlation import BinCorrelation, correlate_bin
from ainerd_bluesky.xpcs.two_time.event_correlation import (
    correlate_events,
    events_g2,
    events_thumbnail,
)
from ainerd_bluesky.xpcs.two_time.maps import two_time_map, two_time_maps
from ainerd_bluesky.xpcs.two_time.streaming import StreamingTwoTime
from ainerd_bluesky.xpcs.two_time.thumbnails import two_time_thumbnail

__all__ = [
    "AgeLag",
    "BinCorrelation",
    "BinEvents",
    "EventSeries",
    "LongScan",
    "MultiResolutionTwoTime",
    "OneTime",
    "PixelSeries",
    "QPartition",
    "Quality",
    "Reduction",
    "RelaxationByAge",
    "RelaxationFit",
    "StreamingTwoTime",
    "age_lag_map",
    "aging_exponent",
    "check_map",
    "check_series",
    "correlate_bin",
    "correlate_events",
    "events_g2",
    "events_thumbnail",
    "find_bad_frames",
    "find_pixel_defects",
    "fit_age_lag",
    "fit_relaxation",
    "fit_relaxation_by_age",
    "g2_from_two_time",
    "multi_tau_g2",
    "multi_tau_lags",
    "non_equilibrium_index",
    "reduce_events",
    "reduce_frames",
    "reduce_maps",
    "refused",
    "ring_partition",
    "two_time_map",
    "two_time_maps",
    "two_time_thumbnail",
]
