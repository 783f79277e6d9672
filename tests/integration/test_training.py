"""A model learns runs of a real server, and becomes a candidate in its registry."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

pytest.importorskip("torch")

from ainerd_bluesky.config import BeamlineConfig, CatalogConfig, FlowConfig
from ainerd_bluesky.errors import ConfigError, ModelError
from ainerd_bluesky.ml import load_model
from ainerd_bluesky.ml.bundle import SHIPPED
from ainerd_bluesky.ml.classifier import Model
from ainerd_bluesky.ml.comparison import Comparison, Figure
from ainerd_bluesky.ml.halves import part_of
from flows import retraining
from flows.retraining import Retraining, retrain
from flows.training_commands import register_training_commands
from tiled_adapters.models import open_registry
from tiled_adapters.own_maps import read_own_maps, runs_with_maps
from tiled_adapters.publish import ResultsPublisher
from tiled_adapters.run_query import find_runs

pytestmark = [pytest.mark.integration, pytest.mark.slow]

TINY = {
    "n_maps": 90, "n_held_out": 90, "n_epochs": 2, "n_steps": 2, "batch_size": 8,
    "n_threads": 1,
}  # fmt: skip
VERSION = load_model("shipped").version
OWN_VERSION = f"{VERSION}-own.1"
NEEDED = {"learn": 6, "watch": 2, "judge": 3}


def uids_of_all_parts():
    """Draw uids until each part has just as many runs as it needs."""
    missing = Counter(NEEDED)
    while missing.total():
        uid = str(uuid.uuid4())
        if missing[part_of(uid)]:
            missing[part_of(uid)] -= 1
            yield uid


@pytest.fixture(scope="module")
def publish(results, make_analysis, striped_map):
    """Publish a run with maps of a flickering beam."""
    rng = np.random.default_rng(11)

    def publish_run(uid, sample, *, n_frames=64, labels=("aging",), **summary):
        maps = np.stack(
            [striped_map(rng, rng.uniform(5, 100), n_frames=n_frames) for _ in labels]
        )
        analysis = make_analysis(run_uid=uid, sample=sample, **summary)
        bins = {"q_bin": list(range(len(labels))), "label": list(labels)}
        published = replace(analysis, arrays={"two_time": maps}, bins=bins)
        ResultsPublisher(results).publish(published)

    return publish_run


@pytest.fixture(scope="module")
def sample(publish):
    """Name of a sample with just enough runs, and some that cannot be used."""
    name = f"sample-{uuid.uuid4().hex[:8]}"
    for uid in uids_of_all_parts():
        publish(uid, name, labels=("aging", "invalid"))
    publish(str(uuid.uuid4()), name, n_frames=40)
    return name


@pytest.fixture(scope="module")
def register(catalog, tmp_path_factory):
    """Put the shipped model into production under a name that nobody else has."""
    (card_path,) = SHIPPED.glob("*.json")
    card = json.loads(card_path.read_text())

    def add():
        name = f"model-{uuid.uuid4().hex[:8]}"
        folder = tmp_path_factory.mktemp(name)
        (folder / card["weights"]).write_bytes((SHIPPED / card["weights"]).read_bytes())
        (folder / "card.json").write_text(json.dumps(card | {"name": name}))
        open_registry(catalog).register(folder, "production", who="ann")
        return name

    return add


@pytest.fixture(scope="module")
def name(register):
    return register()


@pytest.fixture(scope="module")
def trained(catalog, sample, name, tmp_path_factory):
    """Train once, and keep what fine-tuning gave."""
    kept = []
    fine_tune = retraining.fine_tune

    def watched(*args, **kwargs):
        kept.append(fine_tune(*args, **kwargs))
        return kept[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retraining, "fine_tune", watched)
        wanted = Retraining(query=f"sample={sample}", model=name, recipe=TINY)
        done = retrain(catalog, wanted, tmp_path_factory.mktemp("own"), who="bob")
    return done, kept[0]


@pytest.fixture
def tuned_as(trained, monkeypatch):
    """Let a training of a model end at once, with a verdict."""
    done, first = trained

    def pretend(outcome, model_name, *, has_learned=True):
        gain = {"better": 1.0, "worse": -1.0, "no different": 0.0}[outcome]
        figure = Figure("agreement", 1.0, 1.0 + gain, 0.1, 3, is_higher_better=True)
        tuned = replace(
            first,
            parent=Model(None, None, None, {**first.parent.card, "name": model_name}),
            comparison=Comparison((figure,), (), 0.9, 3, 3),
            has_learned=has_learned,
        )
        monkeypatch.setattr(retraining, "read_own_maps", lambda *_, **__: done.maps)
        monkeypatch.setattr(retraining, "fine_tune", lambda *_, **__: tuned)

    return pretend


def test_the_result_is_a_candidate_and_production_stays(trained, catalog, name):
    done, _ = trained
    registry = open_registry(catalog)
    assert (done.version.stage, done.version.version) == ("candidate", OWN_VERSION)
    assert done.version.history[-1].who == "bob"
    assert done.version.history[-1].why == done.comparison.sentence
    assert registry.production(name).version == VERSION


def test_its_card_holds_data_recipe_and_comparison(trained, sample, name, catalog):
    card = open_registry(catalog).version(name, OWN_VERSION).card
    notes = card["fine_tuning"]
    assert notes["query"] == f"sample={sample}"
    assert notes["n_runs"] == NEEDED
    assert notes["n_left_out"]["too short"] == 1
    assert notes["recipe"]["n_epochs"] == 2
    assert notes["comparison"]["n_runs"] == NEEDED["judge"]
    assert card["parent"] == {
        "name": name, "version": VERSION, "sha256": load_model("shipped").sha256,
    }  # fmt: skip


def test_weights_curves_and_runs_lie_side_by_side(trained):
    folder = trained[0].folder
    assert load_model(folder).sha256 == trained[0].version.sha256
    assert trained[0].curves.read_bytes()[:4] == b"\x89PNG"
    lines = [line.split() for line in (folder / "runs.txt").read_text().splitlines()]
    assert all(part_of(uid) == part for part, uid, _ in lines)
    assert not (folder.parent / "unfinished").exists()


@pytest.mark.parametrize(
    ("outcome", "stage"),
    [("better", "production"), ("worse", "candidate"), ("no different", "candidate")],
)
def test_only_a_better_one_is_promoted_when_told(
    catalog, sample, register, tuned_as, tmp_path, outcome, stage
):
    name = register()
    tuned_as(outcome, name)
    wanted = Retraining(query=f"sample={sample}", model=name, recipe=TINY)
    done = retrain(catalog, wanted, tmp_path, promote=True)
    assert done.version.stage == stage


def test_the_same_weights_are_not_registered_twice(
    catalog, sample, name, tuned_as, tmp_path
):
    tuned_as("better", name)
    wanted = Retraining(query=f"sample={sample}", model=name, recipe=TINY)
    again = retrain(catalog, wanted, tmp_path)
    assert again.version.version == OWN_VERSION
    assert [path.name for path in tmp_path.glob(f"{name}*")] == [
        f"{name}-{OWN_VERSION}"
    ]
    assert len(open_registry(catalog).versions(name)) == 2


def test_a_training_that_learned_nothing_registers_nothing(
    catalog, sample, register, tuned_as, tiled_server, environment, tmp_path
):
    name = register()
    tuned_as("better", name, has_learned=False)
    app = typer.Typer()
    register_training_commands(app)
    given = arguments(f"sample={sample}", name, tmp_path, tiled_server.uri)
    for options in ([], ["--promote"]):
        done = CliRunner().invoke(app, [*given, *options], env=environment)
        assert done.exit_code == 0
        assert "nothing was learned, nothing registered" in done.stdout
    told = CliRunner().invoke(app, [*given, "--json"], env=environment)
    assert json.loads(told.stdout)["version"] is None
    made = tmp_path / f"{name}-nothing-learned"
    assert sorted(path.name for path in made.iterdir()) == ["curves.png", "runs.txt"]
    (only,) = open_registry(catalog).versions(name)
    assert (only.version, only.stage) == (VERSION, "production")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"query": "sample=none"}, ConfigError, "0 runs with maps are too few"),
        ({"query": "since=soon"}, ConfigError, "a time is 30m, 12h.* got 'soon'"),
        ({"query": "aging"}, ConfigError, "terms such as label=aging"),
        ({"query": "label=agin"}, ConfigError, "no label 'agin'"),
        ({"model": "nothing"}, ModelError, "no model 'nothing'"),
    ],
    ids=["runs", "date", "term", "label", "model"],
)
def test_what_cannot_be_done_is_said_before_any_work(
    catalog, name, tmp_path, change, error, message
):
    wanted = Retraining.model_validate({"model": name, **change})
    with pytest.raises(error, match=message):
        retrain(catalog, wanted, tmp_path)


def test_one_training_at_a_time_in_a_folder(catalog, sample, name, tmp_path):
    wanted = Retraining(query=f"sample={sample}", model=name)
    with (
        retraining._only_one(tmp_path),
        pytest.raises(ConfigError, match="another training is at work"),
    ):
        retrain(catalog, wanted, tmp_path)


# --- Queries and maps --------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "n_found"),
    [
        ("", 12),
        ("label=aging,static", 12),
        ("label=static", 0),
        ("since=1h until=2100-01-01", 12),
        ("until=2020-01-01", 0),
        ("n_frames=40 quality.ok=true", 12),
        ("model.version=9", 0),
        ("min_confidence=0.95", 0),
    ],
)
def test_a_query_finds_what_it_says(results, sample, query, n_found):
    assert len(find_runs(results, f'sample="{sample}" {query}')) == n_found


def test_maps_are_read_bin_by_bin_without_refused_ones(results, sample):
    runs = runs_with_maps(find_runs(results, f"sample={sample}"))
    seen = []
    read = read_own_maps(results, runs, progress=lambda *done: seen.append(done))
    assert (len(read.maps), read.n_too_short) == (11, 1)
    assert read.maps.n_runs == 11
    assert seen[-1] == (12, 12)


def test_memory_is_kept_by_taking_bins_spread_over_each_run(results, publish):
    name, uid = f"sample-{uuid.uuid4().hex[:8]}", str(uuid.uuid4())
    publish(uid, name, labels=("aging",) * 17)
    runs = runs_with_maps(find_runs(results, f"sample={name}"))
    every = read_own_maps(results, runs)
    few = read_own_maps(results, runs, max_memory=9 * 3 * 4 * 64**2)
    assert (len(every.maps), every.n_not_chosen) == (17, 0)
    assert (len(few.maps), few.n_not_chosen) == (9, 8)
    np.testing.assert_array_equal(few.maps.whole, every.maps.whole[::2])


def test_maps_that_are_too_large_are_counted(results, sample):
    runs = runs_with_maps(find_runs(results, f"sample={sample}"))
    with pytest.raises(ConfigError, match="have no map of 64 frames or more that fits"):
        read_own_maps(results, runs, max_memory=100_000)


# --- The command -------------------------------------------------------------------


@pytest.fixture
def environment(tiled_server):
    return {"TILED_API_KEY": tiled_server.api_key, "COLUMNS": "140", "TERM": "dumb"}


def arguments(query, name, folder, uri):
    return [
        "--from-catalog", query, "--model", name, "--output", str(folder),
        "--uri", uri, "--maps", "90", "--held-out", "90",
    ]  # fmt: skip


def test_the_command_tells_the_verdict_and_what_to_do(
    sample, name, tuned_as, tiled_server, environment, tmp_path
):
    tuned_as("better", name)
    app = typer.Typer()
    register_training_commands(app)
    given = arguments(f"sample={sample}", name, tmp_path, tiled_server.uri)
    done = CliRunner().invoke(app, given, env=environment, catch_exceptions=False)
    assert done.exit_code == 0
    for words in (
        "On 3 held-out runs (3 maps) the candidate is better than the model",
        "1 maps were left out: 1 too short",
        f'ainerd model promote {name} {OWN_VERSION} --why "..."',
    ):
        assert words in done.stdout.replace("\n", " ")


@pytest.mark.timeout(900)
def test_a_command_that_was_killed_goes_on_when_given_again(
    catalog, sample, register, publish, tiled_server, environment, tmp_path
):
    name = register()
    query = f"sample={sample}"
    given = arguments(query, name, tmp_path, tiled_server.uri)
    command = [sys.executable, "-m", "ainerd_bluesky", "train", *given]
    process = subprocess.Popen(command, env={**os.environ, **environment})
    kept = tmp_path / "unfinished/checkpoint/checkpoint.json"
    deadline = time.monotonic() + 400
    while not kept.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    publish(str(uuid.uuid4()), sample)  # comes too late for this training
    answer = subprocess.run(
        [*command, "--json"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    done = json.loads(answer.stdout)
    assert done["was_resumed"]
    card = open_registry(catalog).version(name, done["version"]["version"]).card
    assert sum(card["fine_tuning"]["n_runs"].values()) == 11


# --- The flow ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def prefect_server():
    pytest.importorskip("prefect")
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def beamline_file(tiled_server, tmp_path, monkeypatch):
    monkeypatch.setenv("TILED_API_KEY", tiled_server.api_key)

    def write(model):
        config = BeamlineConfig(
            name="x",
            detector={"field": "eiger"},
            partition={"path": tmp_path / "none"},
            classification={"model": model},
            catalog=CatalogConfig(uri=tiled_server.uri),
            flow=FlowConfig(outbox=tmp_path / "outbox"),
        )
        path = tmp_path / "beamline.json"
        path.write_text(config.model_dump_json())
        return str(path)

    return write


def test_the_flow_trains_and_leaves_its_figures(
    prefect_server, sample, name, tuned_as, beamline_file
):
    from prefect.client.orchestration import get_client

    from flows.train_model import train_model

    tuned_as("better", name)
    file = beamline_file(f"registry:{name}")
    done = train_model(f"sample={sample}", file, recipe=TINY)
    assert (done["stage"], done["version"]) == ("candidate", OWN_VERSION)
    with get_client(sync_client=True) as client:
        found = {artifact.key: artifact for artifact in client.read_artifacts()}
    assert found["ainerd-training-curves"].data.startswith("data:image/png;base64,")
    [row] = json.loads(found["ainerd-training-figures"].data)
    assert row["outcome"] == "better"
    assert f"{OWN_VERSION}: better" in found["ainerd-training"].data
    assert "ainerd-training-progress" in found


def test_a_model_of_no_registry_is_not_trained_by_the_flow(
    prefect_server, beamline_file
):
    from flows.train_model import train_model

    with pytest.raises(ConfigError, match='set model = "registry:NAME"'):
        train_model("all", beamline_file("shipped"))
