"""Questions that people ask of the results."""

import json
import subprocess
import sys

import numpy as np
import pytest
from tiled.queries import Key

from ainerd_bluesky.errors import ConfigError
from tiled_adapters.client import XPCSResult, XPCSResults, XPCSTwoTime
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
    else:
        assert "2 runs" in run.stdout
