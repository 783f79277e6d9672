"""Plans for XPCS: one scan of one sample, and a series that chooses for itself."""

from ainerd_bluesky.plans.autonomous import autonomous_xpcs
from ainerd_bluesky.plans.limits import AllLabelsSeen, Budget, Goal, LabelFound
from ainerd_bluesky.plans.scan import Detector, ScanSettings, xpcs_scan
from ainerd_bluesky.plans.spots import Spots, spot_grid
from ainerd_bluesky.plans.waiting import wait_for_label

__all__ = [
    "AllLabelsSeen",
    "Budget",
    "Detector",
    "Goal",
    "LabelFound",
    "ScanSettings",
    "Spots",
    "autonomous_xpcs",
    "spot_grid",
    "wait_for_label",
    "xpcs_scan",
]
