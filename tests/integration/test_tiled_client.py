"""Questions that people ask of the results."""

import json
import subprocess
import sys
import uuid

import numpy as np
import pytest
from tiled.queries import Key

from ainerd_bluesky import figures
from ainerd_bluesky.errors import ConfigError
from tiled_adapters.client import XPCSResult, XPCSResults, XPCSTwoTime
from tiled_adapters.command_parts import short_uids
from tiled_adapters.exporters import two_time_png
from tiled_adapters.publish import ResultsPublisher

pytestmark = pytest.mark.integration

_LABELS = (
    "import typer; from tiled_adapters.commands import register; "
    "app = typer.Typer(); register(app); app()"
)


@pytest.fixture(scope="module")
def published(results, make_analysis):
    """Three runs of a sample that no other test has."""
    sample = make_analysis().run_uid
    for label, confidence, novelty in (
        ("aging", 0.9, 0.1),
        ("aging", 0.6, 0.8),
        ("invalid", 1.0, 1.0),
    ):
        analysis = make_analysis(
            label, sample=sample, confidence=confidence, novelty=novelty
        )
        if label == "invalid":
            analysis.arrays.clear()
            analysis.bins.clear()
            analysis.summary["physics"] = {}
        ResultsPublisher(results).publish(analysis)
    return sample


def test_table_has_one_row_per_run(results, published):
    frame = results.find(sample=published).labels_table()
    assert frame["label"].tolist() == ["aging", "aging", "invalid"]
    assert frame["relaxation_time"].tolist()[:2] == [0.5, 0.5]
    assert np.isnan(frame["relaxation_time"][2])
    assert frame["quality_ok"].tolist() == [True, True, True]
    assert frame["model_version"].tolist() == ["1.0"] * 3


def test_table_of_nothing_has_the_columns(results):
    frame = results.find(sample="nobody's").labels_table()
    assert len(frame) == 0
    assert {"label", "confidence", "run_uid"} <= set(frame.columns)


def test_run_that_is_being_written_is_not_in_the_table(results, make_analysis):
    uid = make_analysis().run_uid
    state = {"run_uid": uid, "status": "writing"}
    results.create_container(uid, metadata=state, specs=["XPCSResults"])
    assert uid not in set(results.labels_table()["run_uid"])


@pytest.mark.parametrize(
    ("question", "n_found"),
    [
        ({"label": "aging"}, 2),
        ({"label": "aging", "min_confidence": 0.8}, 1),
        ({"label": ["aging", "invalid"]}, 3),
        ({"label": "static"}, 0),
        ({"min_novelty": 0.5}, 2),
        ({"max_novelty": 0.5}, 1),
        ({"model_version": "1.0"}, 3),
        ({"model_version": "2.0"}, 0),
    ],
    ids=str,
)
def test_find_narrows_down(results, published, question, n_found):
    assert len(results.find(sample=published, **question)) == n_found


def test_runs_that_are_being_written_are_not_found(results, make_analysis):
    uid = make_analysis().run_uid
    state = {"run_uid": uid, "status": "writing"}
    results.create_container(uid, metadata=state, specs=["XPCSResults"])
    assert uid in set(results)
    assert uid not in set(results.find())


def test_table_tells_q_and_how_sure_the_rate_is(results, make_analysis):
    physics = {
        "relaxation_rate": 2.0,
        "relaxation_rate_err": 0.1,
        "q": 0.01,
        "q_bin": 3,
        "q_exponent": None,
    }
    analysis = make_analysis(sample=str(uuid.uuid4()), physics=physics)
    ResultsPublisher(results).publish(analysis)
    (row,) = (
        results.find(sample=analysis.summary["sample"])
        .labels_table()
        .to_dict("records")
    )
    assert (row["relaxation_rate_err"], row["q"], row["q_bin"]) == (0.1, 0.01, 3)
    assert np.isnan(row["q_exponent"])


def test_beginning_of_a_uid_is_enough_where_it_is_the_only_one(results, make_analysis):
    start = f"run_{uuid.uuid4().hex[:8]}"
    for end in ("-a_1", "-b_2"):
        analysis = make_analysis(run_uid=start + end)
        ResultsPublisher(results).publish(analysis)
    # The server takes _ for any character.
    ResultsPublisher(results).publish(make_analysis(run_uid=f"{start}-axx1"))
    assert results[f"{start}-b"].item["id"] == f"{start}-b_2"
    assert results[f"{start}-a_"].item["id"] == f"{start}-a_1"
    assert results[f"{start}-b", "g2"].shape == (2, 12)
    with pytest.raises(KeyError, match=rf"{start}-a_1, {start}-axx1"):
        results[f"{start}-a"]
    for unknown in (start[:5], f"{start}-c"):
        with pytest.raises(KeyError, match=unknown):
            results[unknown]


def test_archived_file_has_no_raw_run(results, make_analysis):
    analysis = make_analysis(run_uid=f"map-{uuid.uuid4().hex[:8]}")
    analysis.provenance["source"] = "/archive/map.npy"
    ResultsPublisher(results).publish(analysis)
    with pytest.raises(
        KeyError, match=r"came from file /archive/map\.npy: there is no"
    ):
        results.run(analysis.run_uid)
    with pytest.raises(KeyError, match="nobody-at-all"):
        results.run("nobody-at-all")


def test_plain_query_gives_the_same(results, published):
    found = results.search(Key("label") == "aging").search(Key("sample") == published)
    assert list(found) == list(results.find("aging", sample=published))


def test_unknown_label_lists_the_vocabulary(results, published):
    with pytest.raises(ConfigError, match=r"no label 'agin'; .*stationary.*two-step"):
        results.find("agin")


def test_label_of_ones_own_can_be_found(results, make_analysis):
    analysis = make_analysis("gel-like")
    ResultsPublisher(results).publish(analysis)
    assert analysis.run_uid in set(results.find("gel-like"))


@pytest.fixture(scope="module")
def analysis(results, make_analysis):
    analysis = make_analysis()
    ResultsPublisher(results).publish(analysis)
    return analysis


def test_first_q_bin_of_a_run_is_one_step_away(results, analysis):
    maps = results[analysis.run_uid]["two_time"]
    assert isinstance(maps, XPCSTwoTime)
    np.testing.assert_array_equal(maps[0], analysis.arrays["two_time"][0])


def test_path_through_the_catalog_reaches_the_current_result(results, analysis):
    array = results[analysis.run_uid, "g2"].read()
    np.testing.assert_array_equal(array, analysis.arrays["g2"])


def test_result_can_be_named_by_its_key(results, analysis):
    result = results[analysis.run_uid][analysis.key]
    assert isinstance(result, XPCSResult)
    np.testing.assert_array_equal(result.g2, analysis.arrays["g2"])
    np.testing.assert_array_equal(result.lags, analysis.arrays["lags"])
    np.testing.assert_array_equal(result.embedding, analysis.arrays["embedding"])
    assert result.two_time.shape == (2, 40, 40)


def test_run_tells_its_label_and_physics(results, analysis):
    run = results[analysis.run_uid]
    assert isinstance(run, XPCSResults)
    assert (run.label, run.confidence) == ("aging", 0.9)
    assert run.physics["relaxation_time"] == 0.5
    assert run.quality["ok"]
    assert "aging (0.90)" in repr(run)


def test_map_gives_its_one_time_function(results, analysis):
    g2 = results[analysis.run_uid]["two_time"].g2()
    first = np.diagonal(analysis.arrays["two_time"][0], 1).mean()
    assert g2.shape == (2, 39)
    assert g2[0, 0] == pytest.approx(first)


def test_run_without_a_result_says_so(results, make_analysis):
    uid = make_analysis().run_uid
    state = {"run_uid": uid, "status": "writing"}
    run = results.create_container(uid, metadata=state, specs=["XPCSResults"])
    with pytest.raises(LookupError, match="no result"):
        _ = run.result
    with pytest.raises(KeyError):
        run["two_time"]


@pytest.mark.parametrize("as_json", [True, False])
def test_labels_command_lists_runs(tiled_server, published, as_json):
    options = ["--uri", tiled_server.uri, "--label", "aging", "--sample", published]
    run = subprocess.run(
        [sys.executable, "-c", _LABELS, "labels", *options, *["--json"] * as_json],
        env={"TILED_API_KEY": tiled_server.api_key, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=True,
    )
    if as_json:
        assert [row["label"] for row in json.loads(run.stdout)] == ["aging", "aging"]
        return
    assert "2 runs" in run.stdout
    assert "relaxation time [s]" in run.stdout
    assert "q [1/Å]" in run.stdout


def test_uids_are_cut_where_they_differ():
    uids = ["0123456789ab", "0123456789cd", "abcdefghijkl", "abc", "abcd"]
    short = short_uids(uids)
    assert list(map(short.get, uids)) == [
        "0123456789a", "0123456789c", "abcdefgh", "abc", "abcd",
    ]  # fmt: skip


def test_picture_of_a_stack_tells_its_q_bin(results, analysis, monkeypatch):
    titles = []
    monkeypatch.setattr(
        figures, "draw_two_time", lambda *_, title, **__: titles.append(title) or b""
    )
    metadata = {"title": "S1", "q_values": [0.01, 0.02]}
    two_time_png("image/png", np.ones((2, 4, 4)), metadata)
    two_time_png("image/png", np.ones((4, 4)), metadata)
    two_time_png("image/png", np.ones((4, 4)), {"q_bin": 2, "q": 0.02})
    assert titles == ["S1, q-bin 1, q = 0.01 1/Å", "S1", "q-bin 2, q = 0.02 1/Å"]
