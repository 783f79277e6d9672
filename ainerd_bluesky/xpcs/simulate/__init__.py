"""Simulated XPCS scans: samples of known dynamics, photon by photon."""

from ainerd_bluesky.xpcs.simulate.dynamics import Dynamics, draw_dynamics, g1
from ainerd_bluesky.xpcs.simulate.movie import (
    SimulatedDetector,
    default_partition,
    reference_q,
    simulate_movie,
)
from ainerd_bluesky.xpcs.simulate.rheology import RheologySet, simulate_rheology
from ainerd_bluesky.xpcs.simulate.samples import (
    DEFECTS,
    Defect,
    SimulatedSample,
    sample_library,
    simulate_sample,
    spoil,
    unknown_samples,
)
from ainerd_bluesky.xpcs.simulate.speckle import simulate_counts, simulate_map

__all__ = [
    "DEFECTS",
    "Defect",
    "Dynamics",
    "RheologySet",
    "SimulatedDetector",
    "SimulatedSample",
    "default_partition",
    "draw_dynamics",
    "g1",
    "reference_q",
    "sample_library",
    "simulate_counts",
    "simulate_map",
    "simulate_movie",
    "simulate_rheology",
    "simulate_sample",
    "spoil",
    "unknown_samples",
]
