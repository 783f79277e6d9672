"""The demonstration: a simulated beamline, a real server, labels as scans end."""

from ainerd_bluesky.demo.run import run_demo

__all__ = ["run_demo"]
