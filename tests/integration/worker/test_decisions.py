"""From a decision in a start document to the catalog, through the real chain."""

import json

import pytest
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from typer.testing import CliRunner

from ainerd_bluesky.cli import app
from ainerd_bluesky.errors import SelectionError
from tiled_adapters.commands import register
from tiled_adapters.decisions_story import find_story, tell_story

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("sample", ["steady", "dark"])
def test_a_run_brings_its_decision_into_the_catalog(
    scan, process, catalog, decide, sample
):
    run_uid = scan(sample, md=decide())
    summary = process(run_uid)
    decision = catalog["processed/decisions"].of_run(run_uid).decision
    assert decision.run_uid == run_uid
    story = find_story(catalog, run_uid)
    assert story.is_published
    assert story.decision == decision
    told = "refused" if sample == "dark" else summary["label"]
    assert told in tell_story(story)[-1]


def test_a_run_processed_again_has_one_decision(scan, process, catalog, decide):
    said = decide()
    run_uid = scan(md=said)
    for _ in range(2):
        process(run_uid)
    node = catalog["processed/decisions"].of_run(run_uid)
    assert node.run_uids == (run_uid,)


def test_a_decision_that_is_none_costs_no_label(scan, process, results, caplog):
    run_uid = scan(md={"campaign": "worker", "decision": {"chosen": "steady"}})
    label = process(run_uid)["label"]
    assert results[run_uid].metadata["label"] == label
    assert f"run {run_uid}: its decision is not kept: not a decision" in caplog.text


def test_a_run_that_failed_is_explained_from_its_start_document(
    beamline, scan, catalog, decide
):
    said = decide()

    @bpp.run_decorator(md=said)
    def broken():
        yield from bps.null()
        raise OSError("shutter stuck")

    RE, _ = beamline
    uids = []
    with pytest.raises(OSError, match="shutter"):
        RE(broken(), lambda name, doc: name == "start" and uids.append(doc["uid"]))
    story = find_story(catalog, uids[0][:8])
    assert not story.is_published
    assert story.decision.as_json() == {**said["decision"], "run_uid": uids[0]}
    assert "ended with 'fail': shutter stuck" in tell_story(story)[-1]


def test_why_takes_a_scan_id_and_says_where_it_read(
    beamline, scan, decide, tiled_server
):
    RE, _ = beamline
    RE.md["scan_id"] = 4711
    said = decide()
    run_uid = scan(md=said)
    register(app)
    options = ["4712", "--uri", tiled_server.uri]
    environment = {"TILED_API_KEY": tiled_server.api_key, "COLUMNS": "200"}
    told = CliRunner().invoke(app, ["why", *options], env=environment).output
    for words in (run_uid, said["decision"]["reason"], f"raw/{run_uid}: no decision"):
        assert words in told
    printed = CliRunner().invoke(app, ["why", *options, "--json"], env=environment)
    assert json.loads(printed.output)["decision"]["top"] == said["decision"]["top"]


def test_a_run_that_nobody_decided_is_said_so(scan, catalog):
    with pytest.raises(SelectionError, match="no selector chose it"):
        find_story(catalog, scan())


@pytest.mark.parametrize("run", [str(2**63 - 1), str(2**63), "9" * 26, "9" * 5000])
def test_a_number_that_no_run_has_is_said_so(scan, catalog, run):
    scan()
    with pytest.raises(SelectionError, match=f"run.*{run}"):
        find_story(catalog, run)
