"""One demonstration from beginning to end."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bluesky import RunEngine
from ophyd_async.plan_stubs import ensure_connected
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from tiled.client import from_uri

from ainerd_bluesky.config import load_beamline
from ainerd_bluesky.demo.rows import Row, ScanLog, table
from ainerd_bluesky.demo.server import Server, running_server
from ainerd_bluesky.demo.shelf import candidates
from ainerd_bluesky.devices.demo import DemoBeamline, demo_beamline
from ainerd_bluesky.errors import RunNotReadyError
from ainerd_bluesky.figures import draw_two_time_gallery
from ainerd_bluesky.installation import Installation, install
from ainerd_bluesky.plans import ScanSettings, autonomous_xpcs, xpcs_scan
from ainerd_bluesky.selection import Candidate, Observation, WantedLabelSelector
from ainerd_bluesky.vocabulary import Label
from ainerd_bluesky.xpcs.simulate import unknown_samples

__all__ = ["run_demo"]

_FRAME_SHAPE = (128, 128)
_SCAN: ScanSettings = {"n_frames": 400, "frame_time": 0.01}
_WANTED = Label.AGING
_CAMPAIGN = "demo"
_SPARE_SAMPLES = 32
_LENGTH_SCALE = 0.05
_LABEL_LIMIT = 60.0

# Written into the folder, so that a person can run and change it.
_QUERY = '''"""Ask a server for its labels: query.py [URI]; the key is TILED_API_KEY."""

import sys

from tiled.client import from_uri

uri = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
results = from_uri(uri)["processed/xpcs"]
print(results.labels_table()[["sample", "label", "confidence"]].to_string())

sure = results.find(label="{label}", min_confidence=0.8)
print(f"\\n{{len(sure)}} runs are {label!r} with a confidence of 0.8 or more:")
for uid in sure:
    shape = sure[uid]["two_time"][0].shape
    print(f"  {{sure[uid].metadata['sample']}}  run {{uid[:8]}}  map {{shape}}")
'''


def run_demo(
    folder: Path,
    *,
    n_samples: int = 12,
    n_chosen: int = 4,
    seed: int = 0,
    json_path: Path | None = None,
) -> list[Row]:
    """Scan unknown samples, classify each as its scan ends, and ask for the labels.

    Parameters
    ----------
    folder : Path
        Gets a numbered folder for this demonstration.
    n_samples : int
        Scans in the order of the shelf.
    n_chosen : int
        Further scans, chosen by a selector that wants one kind of dynamics.
    seed : int
        Rules all chance.
    json_path : Path, optional
        File that gets the rows as well.

    Returns
    -------
    list of Row
        One a scan.
    """
    console = Console()
    place = _next_folder(folder)
    console.print(f"starting a Tiled server in [bold]{place}[/] ...", soft_wrap=True)
    with running_server(place, readable=place / "frames") as server:
        shelf = unknown_samples(n_samples + _SPARE_SAMPLES, seed, n_first=n_samples)
        beamline = demo_beamline(place, samples=shelf, seed=seed, shape=_FRAME_SHAPE)
        with _session(beamline, server, console) as session:
            session.scan_in_order(n_samples)
            session.scan_by_choice(n_chosen, candidates(shelf, seed))
        rows = session.log.rows
        _show_truth(console, rows)
        _query_from_elsewhere(console, place, server)
        _draw_gallery(console, place, server, rows)
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps([asdict(row) for row in rows], indent=2))
    _show_way_on(console, place)
    return rows


@dataclass(frozen=True, eq=False)
class _Session:
    """A RunEngine with the classification installed, as at a beamline."""

    RE: RunEngine
    beamline: DemoBeamline
    installation: Installation
    log: ScanLog
    console: Console

    def scan_in_order(self, n_samples: int) -> None:
        """Scan the first samples of the shelf while their labels come in."""
        _head(self.console, f"{n_samples} samples of unknown dynamics")
        detector, stage = self.beamline.detector, self.beamline.stage
        with self._live_table():
            for sample in self.beamline.samples[:n_samples]:
                self.RE(xpcs_scan(detector, stage, sample, **_SCAN))
            labels = self.log.wait(_LABEL_LIMIT)
        if not labels:
            log = self.beamline.config_path.parent / "outbox" / "worker.log"
            raise RunNotReadyError(f"no label came in {_LABEL_LIMIT:.0f} s: see {log}")

    def scan_by_choice(self, n_scans: int, shelf: list[Candidate]) -> None:
        """Let a selector that knows the labels so far choose sample after sample."""
        _head(
            self.console, f"{n_scans} more, chosen by a selector that wants {_WANTED}"
        )
        selector = WantedLabelSelector(
            shelf, {_WANTED: 1.0}, length_scale=_LENGTH_SCALE
        )
        selector.ingest(
            [
                Observation.from_summary(sample, summary)
                for sample, summary in self.log.wait(_LABEL_LIMIT).items()
            ]
        )
        plan = autonomous_xpcs(
            self.beamline.detector,
            self.beamline.stage,
            selector,
            self.installation.follower,
            n_scans=n_scans,
            campaign=_CAMPAIGN,
            timeout=_LABEL_LIMIT,
            state_path=self.beamline.config_path.with_name("campaign.json"),
            **_SCAN,
        )
        with self._live_table():
            self.RE(plan, {"start": self._tell_reason})
            self.log.wait(_LABEL_LIMIT)

    def _tell_reason(self, _: str, start: Mapping[str, Any]) -> None:
        """Say why this sample, as its start document does."""
        self.console.print(
            f"[cyan]next[/] {escape(start['decision']['reason'])}", highlight=False
        )

    def _live_table(self) -> Live:
        n_before = len(self.log.rows)
        return Live(
            console=self.console,
            refresh_per_second=4,
            get_renderable=lambda: table(self.log.rows[n_before:]),
        )


@contextmanager
def _session(
    beamline: DemoBeamline, server: Server, console: Console
) -> Iterator[_Session]:
    RE = RunEngine()
    RE(ensure_connected(beamline.detector, beamline.stage))
    config = load_beamline(beamline.config_path)
    catalog = config.catalog.model_copy(update={"uri": server.uri})
    served = config.model_copy(update={"catalog": catalog})
    installation = install(RE, served, api_key=server.api_key, live=False)
    log = ScanLog(installation.follower.follow, beamline.truth)
    RE.subscribe(log)  # type: ignore[no-untyped-call] # bluesky has no types
    try:
        yield _Session(RE, beamline, installation, log, console)
    finally:
        installation.close()


def _head(console: Console, text: str) -> None:
    # A live table that is not shown on a terminal ends without a new line.
    console.print()
    console.rule(text)


def _next_folder(folder: Path) -> Path:
    """Make the next numbered folder: nothing of an earlier demonstration is lost."""
    taken = [int(path.name) for path in folder.glob("[0-9][0-9][0-9]")]
    place = folder.absolute() / f"{max(taken, default=0) + 1:03d}"
    (place / "frames").mkdir(parents=True)
    return place


def _show_truth(console: Console, rows: Sequence[Row]) -> None:
    _head(console, "the truth")
    console.print(table(rows, is_truth_shown=True))
    n_right = sum(row.label == row.truth for row in rows)
    console.print(f"{n_right} of {len(rows)} labels are right")


def _query_from_elsewhere(console: Console, place: Path, server: Server) -> None:
    """Ask in another process, as a person at another desk would."""
    script = place / "query.py"
    script.write_text(_QUERY.format(label=str(_WANTED)))
    _head(console, "another process asks the server")
    answer = subprocess.run(
        [sys.executable, str(script), server.uri],
        env={**os.environ, "TILED_API_KEY": server.api_key},
        check=True,
        capture_output=True,
        text=True,
    )
    console.print(answer.stdout, highlight=False, soft_wrap=True)


def _draw_gallery(
    console: Console, place: Path, server: Server, rows: Sequence[Row]
) -> None:
    results = from_uri(server.uri, api_key=server.api_key)["processed/xpcs"]
    labelled = [row for row in rows if row.label not in {None, Label.INVALID}]
    maps = [results[row.uid]["two_time"][0] for row in labelled]
    titles = [f"{row.sample}: {row.label} {row.confidence:.2f}" for row in labelled]
    picture = place / "two_time_maps.png"
    draw_two_time_gallery(maps, titles, picture)
    console.print(f"two-time maps with their labels: {picture}", soft_wrap=True)


def _show_way_on(console: Console, place: Path) -> None:
    _head(console, "how to go on")
    console.print(
        f". {Path(sys.prefix) / 'bin' / 'activate'}   (in each terminal)\n"
        f"ainerd serve {place} --readable {place / 'frames'}\n"
        "    serves these results again; in another terminal:\n"
        f"export TILED_API_KEY=$(cat {place / 'api_key'})\n"
        "ainerd labels\n"
        "ainerd decisions\n"
        "    says which samples were chosen, and why\n"
        f"python {place / 'query.py'}\n"
        "ainerd classify FILE\n"
        "    answers for a file of your own\n"
        "ainerd profile install --help\n"
        "    brings it to your beamline",
        soft_wrap=True,
        highlight=False,
    )
