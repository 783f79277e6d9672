"""What is compared with what, and how much is wanted."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["AT_LEAST", "COMPARISONS", "Comparison", "Unit"]

Unit = Literal["of peer", "s", "MB", "frames/s", "x faster", "% of peak", "power of n"]
AT_LEAST = ("frames/s", "x faster", "% of peak")
"""Units of which more is better; of the others less is."""

_BOOST = "boost-corr"


@dataclass(frozen=True)
class Comparison:
    """One line of the table, before it is measured."""

    subject: str
    case: str
    job: str
    peer_job: str = ""
    peer: str = ""
    """Distribution that `peer_job` needs; empty where it is our own."""
    unit: Unit = "of peer"
    target: float | None = None
    """None for a line that only informs."""
    tolerance: float = 0.0
    """Largest difference of the results; what a peer's own arithmetic allows."""


def _two_time_lines(case: str) -> list[Comparison]:
    # boost-corr adds in single precision, which leaves 1e-5 in g2 at 5000 frames; ours
    # is within 1e-7 of double precision there.
    return [
        Comparison(
            f"two-time {normalisation}",
            case,
            f"two-time {normalisation}",
            f"boost two-time {smoothing}",
            _BOOST,
            target=target,
            tolerance=3e-5,
        )
        for normalisation, smoothing, target in (
            ("frame", "dqmap", 0.2),
            ("static", "sqmap", 0.4),
            ("static-frame", "sqmap", 0.4),
        )
    ]


def _multi_tau_lines(case: str) -> list[Comparison]:
    # boost-corr multiplies in bfloat16, which is right to about 2e-4.
    return [
        Comparison(
            subject,
            case,
            job,
            "boost multi-tau",
            _BOOST,
            target=target,
            tolerance=1e-3,
        )
        for subject, job, target in (
            ("multi-tau", "multi-tau", 0.1),
            ("multi-tau, no numba", "multi-tau without numba", 0.2),
        )
    ]


def _label_lines() -> list[Comparison]:
    # The peer correlates and no more.
    return [
        Comparison(
            "frames to label",
            case,
            "frames to label",
            "boost two-time sqmap",
            _BOOST,
            tolerance=3e-5,
        )
        for case in "AC"
    ]


COMPARISONS = (
    *(line for case in "ABCD" for line in _two_time_lines(case)),
    Comparison(
        "two-time fp32",
        "H",
        "two-time frame",
        "boost two-time dqmap",
        _BOOST,
        target=0.6,
        tolerance=1e-5,
    ),
    *(
        Comparison(
            "int8 efficiency",
            case,
            "two-time frame",
            "int8 peak",
            unit="% of peak",
            target=45.0,
        )
        for case in "BC"
    ),
    *_label_lines(),
    *_multi_tau_lines("A"),
    *_multi_tau_lines("B"),
    Comparison(
        "multi-tau, skbeam",
        "A",
        "multi-tau",
        "skbeam multi-tau",
        "scikit-beam",
        tolerance=1e-5,
    ),
    Comparison(
        "events g2",
        "events",
        "events g2",
        "xpcscorr events g2",
        "xpcs-correlator",
        unit="s",
        target=4.0,
        tolerance=1e-9,
    ),
    Comparison("events maps", "events", "events maps", unit="s", target=6.0),
    Comparison(
        "thumbnails", "C", "thumbnails", "two-time static", target=0.35, tolerance=1e-6
    ),
    Comparison(
        "decompression",
        "eiger",
        "decode",
        "h5py",
        unit="x faster",
        target=1.8,
    ),
    Comparison(
        "streaming",
        "B",
        "streaming",
        unit="frames/s",
        target=800.0,
        # Sums are equal; the last digit of their ratio need not be.
        tolerance=1e-13,
    ),
    Comparison(
        "long scan", "long", "long scan", unit="power of n", target=1.1, tolerance=1e-6
    ),
)
"""All lines that are measured; those on memory follow from them."""
