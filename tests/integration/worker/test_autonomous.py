"""The closed loop with a real server: choose, scan, classify, learn, keep why."""

import time
import uuid
from pathlib import Path

import pytest

from ainerd_bluesky.plans import Spots, autonomous_xpcs, spot_grid
from ainerd_bluesky.selection import (
    Candidate,
    Coverage,
    SelectorSettings,
    StrategySelector,
)

from .conftest import LIMIT

pytestmark = [pytest.mark.integration, pytest.mark.slow]

CAMPAIGN = "closed-loop"


PAGE = Path(__file__).parents[3] / "docs/how-to/queue-agent.md"


def make_selector():
    return StrategySelector(
        [Candidate("steady", (0.0,)), Candidate("dark", (1.0,))],
        Coverage(),
        settings=SelectorSettings(max_remeasures=0),
    )


def run_series(session, path, **settings):
    """One session of the campaign; return its runs and the selector."""
    stage = session.beamline.stage
    selector = make_selector()
    plan = autonomous_xpcs(
        session.beamline.detector,
        stage,
        selector,
        session.installation.follower,
        spots=Spots([stage.x, stage.y], spot_grid(1, 2, 0.1), spacing=0.1),
        campaign=CAMPAIGN,
        state_path=path,
        n_frames=96,
        **settings,
    )
    return session.RE(plan), selector


def test_labels_and_decisions_of_a_series_that_was_left_and_resumed(
    session, catalog, tmp_path
):
    path = tmp_path / "state.json"
    # The first session does not wait: its label comes while nobody is there.
    [first], before = run_series(session, path, n_scans=1, timeout=0.0)
    assert before.observations == ()
    [second], selector = run_series(session, path, timeout=LIMIT)

    seen = {observation.name: observation for observation in selector.observations}
    assert seen["steady"].label == "static"
    assert seen["dark"].label == "invalid"
    assert {observation.run_uid for observation in seen.values()} == {first, second}

    campaign = catalog["processed/decisions"][CAMPAIGN]
    kept = sorted((node.decision for node in campaign.values()), key=lambda d: d.number)
    assert [decision.run_uid for decision in kept] == [first, second]
    assert [decision.n_observations for decision in kept] == [0, 1]
    start = catalog["raw"][second].metadata["start"]
    assert start["spot"]["position"] == [-0.05, 0.0]
    assert start["decision"]["reason"] == kept[1].reason


def test_decisions_of_the_documented_loop_of_another_package_are_kept(
    session, catalog, results
):
    pytest.importorskip("bluesky_adaptive")
    campaign, selector = f"adaptive-{uuid.uuid4().hex[:8]}", make_selector()
    page = PAGE.read_text()
    code = next(part for part in page.split("```python\n") if "measure(" in part)
    code = code.partition("```")[0].replace('"gel-1"', f'"{campaign}"')
    names = {"stage": session.beamline.stage, "detector": session.beamline.detector}
    exec(code, {**names, "RE": session.RE, "results": results, "selector": selector})

    runs = [seen.run_uid for seen in selector.observations]
    assert len(runs) == 2
    deadline = time.monotonic() + LIMIT
    while len(kept := runs_of(catalog, campaign)) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert kept == set(runs)


def runs_of(catalog, campaign):
    node = catalog.get(f"processed/decisions/{campaign}")
    table = None if node is None else node.decisions_table()
    return set() if table is None else set(table["run_uid"])
