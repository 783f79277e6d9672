"""Our own correlator on photons as events."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.bench.cases import Photons, load_photons
from ainerd_bluesky.bench.job import Job
from ainerd_bluesky.xpcs.data.events import EventSeries
from ainerd_bluesky.xpcs.two_time.event_correlation import events_g2, events_thumbnail

__all__ = ["EVENT_JOBS"]


def _event_series(photons: Photons) -> EventSeries:
    """Sort events into q-bins: this is part of the work."""
    case = photons.case
    series = EventSeries(case.roi_map, static_map=case.static_bins[None])
    series.append(
        photons.frame_index,
        photons.pixel_index,
        photons.counts,
        n_frames=case.n_frames,
    )
    return series


def _events_g2(photons: Photons) -> list[NDArray[np.float64]]:
    series = _event_series(photons)
    return [
        events_g2(events, static_bins=series.static_bins(q_bin))[0]
        for q_bin, events in enumerate(series, start=1)
    ]


def _events_thumbnails(photons: Photons) -> list[NDArray[np.float32]]:
    series = _event_series(photons)
    return [
        events_thumbnail(events, static_bins=series.static_bins(q_bin))
        for q_bin, events in enumerate(series, start=1)
    ]


def _name_events(_photons: Photons, _result: object) -> Mapping[str, Any]:
    return {"engine": "events"}


EVENT_JOBS = {
    "events g2": Job(_events_g2, load_photons, _name_events),
    "events maps": Job(_events_thumbnails, load_photons, _name_events),
}
