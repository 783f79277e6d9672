"""Simulated devices of an XPCS beamline, made with ophyd-async."""

from ainerd_bluesky.devices.demo import DemoBeamline, demo_beamline
from ainerd_bluesky.devices.detector import SimulatedXPCSDetector
from ainerd_bluesky.devices.stage import SampleStage

__all__ = ["DemoBeamline", "SampleStage", "SimulatedXPCSDetector", "demo_beamline"]
