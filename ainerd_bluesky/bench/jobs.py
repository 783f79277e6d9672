"""Every job that can be measured, by name."""

from ainerd_bluesky.bench.own_dense import DENSE_JOBS
from ainerd_bluesky.bench.own_events import EVENT_JOBS
from ainerd_bluesky.bench.own_files import FILE_JOBS
from ainerd_bluesky.bench.own_long import LONG_JOBS
from ainerd_bluesky.bench.own_pipeline import PIPELINE_JOBS
from ainerd_bluesky.bench.peers import PEER_JOBS

__all__ = ["JOBS"]

JOBS = {
    **DENSE_JOBS,
    **EVENT_JOBS,
    **FILE_JOBS,
    **LONG_JOBS,
    **PIPELINE_JOBS,
    **PEER_JOBS,
}
"""Own work and that of peers."""
