"""The process that a job is measured in: `python -m ainerd_bluesky.bench.child`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from ainerd_bluesky.bench.cases import Case
from ainerd_bluesky.bench.job import run_job
from ainerd_bluesky.bench.jobs import JOBS

__all__ = ["main"]


def main(order: str, answer_path: str) -> None:
    """Run the job that is ordered and write its figures as JSON.

    Parameters
    ----------
    order : str
        JSON with `job`, `case`, `folder` and `seconds`.
    answer_path : str
        File to write; peers print, so that the output stream is not ours alone.
    """
    wanted = json.loads(order)
    case = Case(**wanted["case"])
    folder = Path(wanted["folder"])
    figures = run_job(JOBS[wanted["job"]], case, folder, wanted["seconds"])
    Path(answer_path).write_text(json.dumps(asdict(figures)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
