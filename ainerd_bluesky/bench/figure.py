"""Time of long scans against their length."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ainerd_bluesky.bench.correlator import Benchmark
from ainerd_bluesky.bench.rows import long_scan_seconds

__all__ = ["draw_long_scans"]

LONG_SCAN = ("long scan", "long")
"""Job and case whose lengths and times are drawn."""


def draw_long_scans(benchmark: Benchmark, path: Path) -> None:
    """Draw CPU time against the number of frames and save it as PNG.

    Parameters
    ----------
    benchmark : Benchmark
        With the case `long`.
    path : Path
        File to write; its folder must exist.
    """
    figure = Figure(figsize=(5.2, 3.8), layout="constrained")
    axes = figure.subplots()
    done = [run for run in benchmark.runs[LONG_SCAN] if not run.error]
    lengths, seconds = long_scan_seconds(done)
    thousands = np.array(lengths) / 1000
    axes.plot(thousands, seconds, "o", label="measured")
    line = np.polynomial.Polynomial.fit(thousands, seconds, 1)
    ends = line.linspace(2, domain=[0, thousands[-1]])
    axes.plot(*ends, "--", label="straight line")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("thousand frames")
    axes.set_ylabel("CPU time [s]")
    axes.legend()
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png", dpi=120)
