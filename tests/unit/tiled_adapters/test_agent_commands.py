"""What the agent's command says to a person."""

import io
import os
import subprocess
import sys

import pytest
from rich.console import Console
from rich.live import Live

from ainerd_bluesky.agents import Proposal, Report, load_campaign
from ainerd_bluesky.errors import ConfigError
from tiled_adapters.agent_commands import (
    _open_journal,
    _proposal_table,
    _Screen,
    _status_line,
)

BEAMLINE = """
name = "8-ID"
[detector]
field = "eiger"
[partition]
path = "qmap.h5"
[queue]
control_address = "tcp://127.0.0.1:9"
"""
CAMPAIGN = """
name = "shelf"
beamline = "8-ID.toml"
n_scans = 1
[plan]
name = "heat_sample"
[[candidates]]
name = "A"
"""


@pytest.mark.parametrize(
    ("report", "text"),
    [
        (Report(n_left=5), "0 labelled  0 await a label  0 queued  5 candidates left"),
        (
            Report(n_labelled=2, n_awaited=1, n_queued=1, n_released=3),
            "2 labelled  1 await a label  1 queued  3 given up  0 candidates left",
        ),
        (
            Report(obstacle="the queue is locked: unlock it"),
            "0 labelled  0 await a label  0 queued  0 candidates left"
            "  waiting: the queue is locked: unlock it",
        ),
    ],
    ids=["start", "under way", "waiting"],
)
def test_a_line_tells_where_it_stands(report, text):
    assert _status_line(report).plain == text


def test_a_log_has_each_event_and_each_obstacle_once():
    console = Console(file=io.StringIO(), width=200)
    screen = _Screen(console, Live(console=console, auto_refresh=False))
    for report in (
        Report(events=("[S1]: aging 0.93",), obstacle="paused"),
        Report(obstacle="paused"),
        Report(),
        Report(obstacle="paused"),
    ):
        screen.show(report)
    lines = [line[9:] for line in console.file.getvalue().splitlines()]
    assert lines == ["[S1]: aging 0.93", "waiting: paused", "waiting: paused"]


def test_a_proposal_shows_plan_score_cost_and_reason():
    proposal = Proposal("xpcs_scan", {"sample": "A[1]"}, "far from all", 0.5, 12.0)
    console = Console(file=io.StringIO(), width=160)
    console.print(_proposal_table([proposal]))
    said = console.file.getvalue()
    for part in ("xpcs_scan(sample='A[1]')", "0.5", "12", "far from all"):
        assert part in said


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('name = "A"', 'name = "B"', "candidates"),
        ("[plan]", '[selector]\nstrategy = "coverage"\n[plan]', "strategy"),
        ("[plan]", "[selector]\nmax_remeasures = 3\n[plan]", "settings"),
    ],
    ids=["candidates", "strategy", "settings"],
)
def test_a_file_that_was_changed_under_an_agent_is_an_error(old, new, key, tmp_path):
    (tmp_path / "8-ID.toml").write_text(BEAMLINE)
    path = tmp_path / "shelf.toml"
    path.write_text(CAMPAIGN)
    settings, _ = load_campaign(path)
    settings.folder.mkdir()
    journal = _open_journal(settings, settings.folder)
    journal.selector.suggest()
    journal.save()
    assert _open_journal(settings, settings.folder).agent == journal.agent
    path.write_text(CAMPAIGN.replace(old, new))
    changed, _ = load_campaign(path)
    with pytest.raises(ConfigError, match=f"begun with other {key} than.*new `name`"):
        _open_journal(changed, changed.folder)


@pytest.mark.parametrize(
    ("campaign", "message"),
    [
        (None, "cannot read"),
        (CAMPAIGN.replace("n_scans", "scans"), "scans: Extra inputs"),
        (CAMPAIGN, "'heat_sample' is not among the plans an agent may add: xpcs_scan"),
    ],
    ids=["no file", "key", "plan"],
)
def test_a_mistake_is_told_in_words_and_without_a_traceback(
    campaign, message, tmp_path
):
    (tmp_path / "8-ID.toml").write_text(BEAMLINE)
    if campaign is not None:
        (tmp_path / "shelf.toml").write_text(campaign)
    answer = subprocess.run(
        [sys.executable, "-m", "ainerd_bluesky", "agent", "shelf.toml"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200", "TERM": "dumb"},
    )
    assert answer.returncode == 1
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr
