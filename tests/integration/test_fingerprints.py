"""Runs that are alike, drift and the map of runs, against a real server."""

import json
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from ainerd_bluesky.errors import FingerprintError
from tiled_adapters.drift import drift_since
from tiled_adapters.embedding_map import newest_model
from tiled_adapters.explore_commands import register_explore_commands
from tiled_adapters.fingerprints import read_fingerprints
from tiled_adapters.publish import ResultsPublisher

pytestmark = pytest.mark.integration


@pytest.fixture
def publish(results, make_analysis):
    """Publish a run with a fingerprint of a model that no other test has."""
    sha256 = uuid.uuid4().hex * 2

    def publish_run(
        fingerprint, label="aging", *, run_uid=None, n=1, has_map=False, **summary
    ):
        model = {"name": "ae", "version": "1.0", "sha256": sha256}
        analysis = make_analysis(
            label,
            run_uid=run_uid,
            fingerprint=fingerprint,
            **{"n": n, "model": model, **summary},
        )
        arrays = {"two_time": analysis.arrays["two_time"]} if has_map else {}
        ResultsPublisher(results).publish(replace(analysis, arrays=arrays, bins={}))
        return analysis.run_uid

    publish_run.sha256 = sha256
    return publish_run


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/ainerd-bluesky/fingerprints"


@pytest.fixture
def requests(results):
    """Count the requests to the server."""
    seen = []
    hooks = results.context.http_client.event_hooks["request"]
    hooks.append(seen.append)
    yield seen
    hooks.remove(seen.append)


def test_nearest_runs_come_first(results, publish):
    uids = [publish([float(x), 0.0]) for x in (0, 5, 1, 2)]

    frame = results.similar_to(uids[0], 2)

    assert frame["run_uid"].tolist() == [uids[2], uids[3]]
    assert frame["distance"].tolist() == [1.0, 2.0]
    assert frame["label"].tolist() == ["aging", "aging"]
    assert frame.attrs["run_uid"] == uids[0]
    assert len(results.similar_to(uids[0][:13], 100)) == 3


def test_equally_near_runs_come_by_their_uids(results, publish):
    first = publish([0.0, 0.0])
    others = sorted(publish([1.0, 0.0]) for _ in range(4))

    assert results.similar_to(first, 3)["run_uid"].tolist() == others[:3]


def test_search_limits_the_runs_compared_with(results, publish):
    sample = f"S-{uuid.uuid4().hex}"
    first = publish([0.0])
    publish([1.0])
    far = publish([9.0], sample=sample)

    assert results.find(sample=sample).similar_to(first)["run_uid"].tolist() == [far]


def test_runs_of_another_model_are_not_compared(results, publish):
    first, second = publish([0.0]), publish([3.0])
    other = {"name": "ae", "version": "2.0", "sha256": uuid.uuid4().hex * 2}
    stranger = publish([0.0], model=other)

    frame = results.similar_to(first)

    assert frame["run_uid"].tolist() == [second]
    assert frame.attrs["n_not_compared"] >= 1
    with pytest.raises(FingerprintError, match=r"ae 2\.0 .* process them again"):
        results.similar_to(stranger)


@pytest.mark.parametrize(
    ("summary", "message"),
    [
        (
            {
                "label": "invalid",
                "quality": {"ok": False, "flags": ["dark"], "reasons": ["no photons"]},
            },
            "was refused, so it has no fingerprint: no photons",
        ),
        ({}, "analysed before fingerprints were kept: process it again"),
    ],
    ids=["refused", "old"],
)
def test_run_without_a_fingerprint_says_why(results, publish, summary, message):
    uid = publish(None, **summary)
    with pytest.raises(FingerprintError, match=message):
        results.similar_to(uid)


def test_fingerprints_that_are_not_finite_are_left_out_and_named(
    results, publish, caplog
):
    first, second = publish([0.0, 1.0]), publish([3.0, 1.0])
    bad = publish([None, 1.0])
    for _ in range(2):  # fetched, then from the file
        caplog.clear()
        table = read_fingerprints(results, publish.sha256)
        assert sorted(table.run_uids) == sorted([first, second])
        assert f"not finite: {bad}; process" in caplog.text
    assert results.similar_to(first)["run_uid"].tolist() == [second]
    with pytest.raises(FingerprintError, match=f"run {bad} has a fingerprint that"):
        results.similar_to(bad)


def test_unknown_run_is_a_key_error(results):
    with pytest.raises(KeyError, match="nobody-at-all"):
        results.similar_to("nobody-at-all")


def test_second_reading_fetches_what_is_new(results, publish, requests, cache):
    old = publish([1.0, 2.0])
    fetched = []
    read_fingerprints(
        results, publish.sha256, progress=lambda *done: fetched.append(done)
    )
    assert fetched == [(1, 1)]
    (path,) = cache.glob("*.npz")
    new = publish([3.0, 4.0])
    requests.clear()

    table = read_fingerprints(
        results, publish.sha256, progress=lambda *done: fetched.append(done)
    )

    assert len(fetched) == 1
    assert len(requests) == 2
    assert dict(zip(table.run_uids, table.Z.tolist(), strict=True)) == {
        old: [1.0, 2.0],
        new: [3.0, 4.0],
    }
    assert path.exists()


def test_run_that_is_analysed_again_has_its_new_fingerprint(results, publish):
    uid, other = publish([0.0]), publish([5.0])
    assert results.similar_to(uid)["distance"].tolist() == [5.0]

    publish([7.0], run_uid=other, n=2)

    assert results.similar_to(uid)["distance"].tolist() == [7.0]


def test_deleted_run_is_not_found_any_more(results, publish):
    first, second, third = (publish([float(x)]) for x in (0, 1, 2))
    assert len(results.similar_to(first)) == 2

    results.delete_contents(second, recursive=True, external_only=False)
    publish([4.0])

    assert results.similar_to(first, 2)["distance"].tolist() == [2.0, 4.0]
    assert third in set(read_fingerprints(results, publish.sha256).run_uids)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no table"])
def test_damaged_file_is_fetched_again(results, publish, cache, content, caplog):
    uid = publish([1.0])
    read_fingerprints(results, publish.sha256)
    (path,) = cache.glob("*.npz")
    path.write_bytes(content)

    assert read_fingerprints(results, publish.sha256).run_uids.tolist() == [uid]
    assert "is damaged" in caplog.text
    with np.load(path) as kept:
        assert kept["run_uids"].tolist() == [uid]


def test_place_that_cannot_be_written_costs_time_only(
    results, publish, tmp_path, caplog
):
    uid = publish([1.0])
    (tmp_path / "file").write_text("")

    table = read_fingerprints(results, publish.sha256, folder=tmp_path / "file")

    assert table.run_uids.tolist() == [uid]
    assert "cannot be kept" in caplog.text


def test_model_without_runs_has_an_empty_table(results):
    table = read_fingerprints(results, "no such model")
    assert (len(table), table.Z.shape) == (0, (0, 0))


@pytest.fixture
def moved(publish, results, make_analysis):
    """Time since when runs of a new kind came in."""
    rng = np.random.default_rng(0)
    for z in rng.normal(size=(20, 3)).tolist():
        analysis = make_analysis(fingerprint=z, novelty=0.4)
        analysis.summary["model"]["sha256"] = publish.sha256
        state = {"status": "complete", "published": time.time(), "contents": []}
        # One request instead of four: what is searched is all there.
        results.create_container(
            analysis.run_uid,
            metadata={**analysis.summary, "run_uid": analysis.run_uid, **state},
            specs=["XPCSResults"],
        )
    since = time.time()
    for z in (9 + rng.normal(size=(4, 3))).tolist():
        publish(z, "static", novelty=1.0, has_map=True)
    return since


def of_model(found, sha256):
    return next(one for one in found if one.sha256 == sha256)


def test_new_kind_of_runs_is_drift(results, publish, moved):
    found = drift_since(results, moved)

    one = of_model(found, publish.sha256)
    assert sum(one.report.alpha for one in found) == pytest.approx(0.01)
    assert (one.report.n_known, one.report.n_incoming) == (20, 4)
    assert {test.name for test in one.report.drifted} == {
        "outliers", "shift", "novelty",
    }  # fmt: skip


def test_few_known_runs_leave_what_the_model_was_trained_on(results, publish):
    publish([1.0], novelty=0.3)

    one = of_model(drift_since(results, time.time() - 60), publish.sha256)

    assert one.report.sentence == (
        "No drift: 1 incoming runs look like what the model was trained on."
    )


def test_time_without_runs_is_no_drift(tiled_server, tmp_path):
    picture = tmp_path / "drift.png"

    ended = run_ainerd(tiled_server, "drift", "--since", "2999-01-01", "--png", picture)
    listed = run_ainerd(tiled_server, "drift", "--since", "2999-01-01", "--json")

    assert ended.exit_code == listed.exit_code == 0, ended.output
    assert "No drift: no run with a fingerprint came since 2999-01-01" in ended.stdout
    assert json.loads(listed.stdout) == []
    assert not picture.exists()


def run_ainerd(server, *arguments):
    app = typer.Typer()
    register_explore_commands(app)
    return CliRunner().invoke(
        app,
        [*map(str, arguments), "--uri", server.uri],
        env={"TILED_API_KEY": server.api_key, "COLUMNS": "140"},
    )


def test_similar_command_lists_runs(tiled_server, publish):
    uids = [publish([float(x)]) for x in (0, 1)]

    shown = run_ainerd(tiled_server, "similar", uids[0], "-n", 3)
    listed = run_ainerd(tiled_server, "similar", uids[0], "--json")

    assert f"1 runs most like {uids[0]} (aging)" in shown.stdout
    document = json.loads(listed.stdout)
    assert [row["run_uid"] for row in document["runs"]] == [uids[1]]
    assert document["run_uid"] == uids[0]
    assert document["n_not_compared"] >= 0


def test_drift_command_ends_with_3_and_draws(tiled_server, publish, moved, tmp_path):
    since = datetime.fromtimestamp(moved, UTC).isoformat()
    picture = tmp_path / "drift.png"

    ended = run_ainerd(
        tiled_server, "drift", "--since", since, "--json", "--png", picture
    )

    assert ended.exit_code == 3, ended.stderr
    found = {one["sha256"]: one for one in json.loads(ended.stdout)}
    assert found[publish.sha256]["is_drift"]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_points_of_a_map_stay_when_runs_are_added(
    tiled_server, results, publish, moved, tmp_path
):
    pytest.importorskip("sklearn")
    pytest.importorskip("plotly")
    assert newest_model(results) == publish.sha256

    first = run_ainerd(tiled_server, "map", tmp_path / "map.html", "--thumbnails", 30)
    layout = (tmp_path / "map.projection.json").read_text()
    publish([40.0, 40.0, 40.0])
    second = run_ainerd(tiled_server, "map", tmp_path / "map.png", "--thumbnails", 3)
    other = run_ainerd(
        tiled_server, "map", tmp_path / "map.png", "--method", "discriminant"
    )

    assert "map.html: 24 runs" in first.stdout, first.output
    assert "map.png: 25 runs" in second.stdout, second.output
    said = str(other.exception)
    assert "keeps a layout by pca: name another" in said
    assert (tmp_path / "map.projection.json").read_text() == layout
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "map.html").read_text().count('"png": "') == 4


def test_map_that_fails_leaves_no_layout(tiled_server, publish, tmp_path):
    for x in range(3):
        publish([float(x), 0.0])

    ended = run_ainerd(
        tiled_server, "map", tmp_path / "map.png", "--sample", "nonsense"
    )

    assert ended.exit_code != 0
    assert list(tmp_path.glob("map*")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["similar", "nobody-at-all"], "no result of a run nobody-at-all"),
        (["similar", "00000"], "run 00000 (give 6 characters or the whole uid)"),
        (["drift", "--since", "soon"], "such as 2026-03-01, got 'soon'"),
        (["map", "map.pdf"], "must end in .png or .html"),
    ],
    ids=["run", "short-uid", "time", "output"],
)
def test_command_that_cannot_be_done_says_why(tiled_server, arguments, message):
    ended = run_ainerd(tiled_server, *arguments)
    assert ended.exit_code == 2
    assert message in " ".join(ended.stderr.replace("│", " ").split())


def test_documented_examples_run(tiled_server, publish, monkeypatch):
    uid = publish([0.0], run_uid=str(uuid.uuid4()))
    publish([1.0])
    page = (Path(__file__).parents[2] / "docs/how-to/explore.md").read_text()
    monkeypatch.setenv("TILED_API_KEY", tiled_server.api_key)
    code = page.split("```python\n")[1].split("```")[0]
    names = {"uid": uid}

    exec(code.replace("http://127.0.0.1:8000", tiled_server.uri), names)

    assert names["alike"]["distance"].tolist() == [1.0]
    names["results"].context.http_client.close()
