"""Devices of an XPCS beamline, simulated ones too, made with ophyd-async."""

from ainerd_bluesky.devices.demo import DemoBeamline, demo_beamline
from ainerd_bluesky.devices.detector import SimulatedXPCSDetector
from ainerd_bluesky.devices.positions import NamedPositions
from ainerd_bluesky.devices.stage import SampleStage

__all__ = [
    "DemoBeamline",
    "NamedPositions",
    "SampleStage",
    "SimulatedXPCSDetector",
    "demo_beamline",
]
