"""The steps against a real catalog, and the Prefect flow on a real Prefect server."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from importlib import import_module
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from tiled.client.utils import ClientError

from ainerd_bluesky.callbacks.job import Job
from ainerd_bluesky.config import ClassificationConfig
from ainerd_bluesky.errors import (
    ConfigError,
    ModelError,
    RunNotReadyError,
    UnsuitableRunError,
)
from ainerd_bluesky.ml.bundle import SHIPPED
from ainerd_bluesky.profiles import find_profiles
from ainerd_bluesky.xpcs.simulate.movie import default_partition
from flows import chain
from flows.retries import is_transient
from flows.runners import EmbeddedRunner
from tiled_adapters.formats.qmap import write_partition
from tiled_adapters.models import open_registry

from .conftest import be_patient

pytestmark = pytest.mark.integration


def frames_file(run_uid, config, catalog):
    return chain.read(run_uid, config, catalog).frames.path


def test_a_run_goes_from_the_catalog_to_its_label(scan, process, results):
    run_uid = scan()
    summary = process(run_uid)
    stored = results[run_uid].metadata
    assert (stored["status"], stored["label"]) == ("complete", summary["label"])
    assert stored["sample"] == "steady"
    assert stored["n_frames"] == 96


def test_the_same_run_again_changes_nothing(scan, process, results):
    run_uid = scan()
    process(run_uid)
    before = dict(results[run_uid].metadata), list(results[run_uid].keys())
    process(run_uid)
    assert (dict(results[run_uid].metadata), list(results[run_uid].keys())) == before


class NextModel:
    """A model as if it were another one."""

    sha256 = "fe" * 32

    def __init__(self, model):
        self._model = model

    def __getattr__(self, name):
        return getattr(self._model, name)


def test_run_processed_again_with_another_model_has_a_result_of_each(
    scan, process, model, config, catalog, results
):
    run_uid = scan()
    process(run_uid)

    chain.process_run(run_uid, config, model=NextModel(model), catalog=catalog)

    run = results[run_uid]
    assert run.metadata["model"]["sha256"] == NextModel.sha256
    models = {node.metadata["model"]["sha256"] for node in run.values()}
    assert models == {model.sha256, NextModel.sha256}


def test_frames_that_do_not_fit_the_partition_make_an_invalid_run(
    scan, process, config, tmp_path
):
    other = tmp_path / "partition.h5"
    write_partition(other, default_partition((32, 32)))
    partition = config.partition.model_copy(update={"path": other})
    summary = process(scan(), config.model_copy(update={"partition": partition}))
    assert summary["label"] == "invalid"
    assert "32, 32)" in summary["quality"]["reasons"][0]


@pytest.mark.parametrize("damage", ["truncated", "emptied"])
def test_a_damaged_file_makes_an_invalid_run(scan, process, config, catalog, damage):
    run_uid = scan()
    path = frames_file(run_uid, config, catalog)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        path.unlink()
        with h5py.File(path, "w") as file:
            file["/entry/data/data"] = np.zeros((0, 64, 64), np.uint16)
    summary = process(run_uid)
    assert summary["label"] == "invalid"
    assert summary["quality"]["reasons"]


def test_a_file_that_comes_late_is_awaited_and_replaces_what_was_refused(
    scan, process, config, catalog, results
):
    run_uid = scan()
    path = frames_file(run_uid, config, catalog)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunNotReadyError, match="may still come"):
        process(run_uid, be_patient(config, 600.0))
    assert process(run_uid)["label"] == "invalid"

    path.write_bytes(whole)
    assert process(run_uid)["label"] != "invalid"
    assert results[run_uid].metadata["label"] != "invalid"


def test_a_file_that_is_not_there_is_awaited_and_then_an_error_that_names_it(
    scan, process, config, catalog
):
    run_uid = scan()
    frames_file(run_uid, config, catalog).unlink()
    with pytest.raises(RunNotReadyError, match=r"may still come: .*No such file"):
        process(run_uid, be_patient(config, 600.0))
    with pytest.raises(ClientError, match="No such file") as error:
        process(run_uid)
    assert not is_transient(error.value)


def test_a_missing_partition_is_an_error_that_names_the_file(scan, process, config):
    partition = config.partition.model_copy(update={"path": Path("/no/where.h5")})
    with pytest.raises(ConfigError, match=r"no q-partition /no/where\.h5"):
        process(scan(), config.model_copy(update={"partition": partition}))


def test_a_run_of_another_detector_is_an_error_that_names_the_field(
    scan, process, config
):
    detector = config.detector.model_copy(update={"field": "lambda"})
    with pytest.raises(UnsuitableRunError, match="no field 'lambda'"):
        process(scan(), config.model_copy(update={"detector": detector}))


def test_a_run_that_is_not_there_is_worth_another_try(process):
    with pytest.raises(RunNotReadyError) as error:
        process("nobody")
    assert is_transient(error.value)


# --- Prefect ------------------------------------------------------------------


@pytest.fixture(scope="module")
def prefect_server(tmp_path_factory):
    """A Prefect server in a process of its own, for this module."""
    pytest.importorskip("prefect")
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        from prefect.settings import PREFECT_API_URL

        yield PREFECT_API_URL.value()


@pytest.fixture
def beamline_file(config, tiled_server, tmp_path, monkeypatch):
    monkeypatch.setenv("TILED_API_KEY", tiled_server.api_key)
    path = tmp_path / "beamline.json"
    path.write_text(config.model_dump_json())
    return str(path)


def test_the_flow_publishes_the_label_and_a_second_time_changes_nothing(
    scan, results, prefect_server, beamline_file
):
    from flows.end_of_run import end_of_run

    run_uid = scan()
    summary = end_of_run(run_uid, beamline_file)
    run = results[run_uid]
    assert run.metadata["label"] == summary["label"]
    before = dict(run.metadata), {key: dict(run[key].metadata) for key in run}
    assert "flow_run" in next(iter(before[1].values()))["provenance"]

    end_of_run(run_uid, beamline_file)
    run = results[run_uid]
    assert (dict(run.metadata), {key: dict(run[key].metadata) for key in run}) == before


@pytest.fixture
def registered(catalog, tmp_path):
    """The shipped model as versions 1.0 and 1.1 of another name, both candidates."""
    name, registry = f"model-{uuid.uuid4().hex[:8]}", open_registry(catalog)
    for version in ("1.0", "1.1"):
        folder = shutil.copytree(SHIPPED, tmp_path / version)
        (card_path,) = folder.glob("*.json")
        card = json.loads(card_path.read_text()) | {"name": name, "version": version}
        card_path.write_text(json.dumps(card))
        registry.register(folder)
    return registry, name


@pytest.fixture
def following(config, registered, beamline_file):
    """A beamline that uses what is in production, and its file."""
    chosen = ClassificationConfig(model=f"registry:{registered[1]}")
    config = config.model_copy(update={"classification": chosen})
    Path(beamline_file).write_text(config.model_dump_json())
    return config, beamline_file


def test_each_run_is_classified_by_the_model_in_production(
    scan, results, registered, following
):
    registry, name = registered
    job = Job(scan(), {}, created=0.0)
    runner = EmbeddedRunner(*following)
    with pytest.raises(ModelError, match=r"only 1\.0 \(candidate\), 1\.1"):
        runner.run(job)
    for version in ("1.0", "1.1"):
        registry.promote(name, version, "ann", "better")
        runner.run(job)
        used = results[job.run_uid].metadata["model"]
        assert (used["name"], used["version"]) == (name, version)
    assert len(results[job.run_uid]) == 2


def test_a_flow_run_uses_the_model_in_production(
    scan, prefect_server, registered, following
):
    from flows.end_of_run import end_of_run

    registry, name = registered
    run_uid, used = scan(), []
    for version in ("1.0", "1.1"):
        registry.promote(name, version, "ann", "better")
        used.append(end_of_run(run_uid, following[1])["model"]["version"])
    assert used == ["1.0", "1.1"]


def test_the_page_of_a_flow_run_shows_what_was_found(
    scan, prefect_server, beamline_file
):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        ArtifactFilter,
        ArtifactFilterKey,
        FlowRunFilter,
        FlowRunFilterName,
    )

    from ainerd_bluesky.config import BeamlineConfig
    from flows.end_of_run import PrefectRunner

    run_uid = scan()
    config = BeamlineConfig.model_validate_json(Path(beamline_file).read_text())
    job = Job(run_uid, {"scan_id": 12}, created=0.0)
    PrefectRunner(config, beamline_file).run(job)
    with get_client(sync_client=True) as client:
        name = FlowRunFilterName(any_=[f"scan-12-{run_uid[:8]}"])
        [flow_run] = client.read_flow_runs(flow_run_filter=FlowRunFilter(name=name))
        tasks = client.read_task_runs()
        key = ArtifactFilterKey(like_=f"%{run_uid}")
        artifacts = client.read_artifacts(artifact_filter=ArtifactFilter(key=key))
    assert f"uid:{run_uid}" in flow_run.tags
    names = {t.name.rsplit("-", 1)[0] for t in tasks if t.flow_run_id == flow_run.id}
    assert names == {"read", "reduce", "classify", "publish"}
    assert {artifact.key.split("-")[1] for artifact in artifacts} == {
        "label",
        "probabilities",
    }


def test_the_flow_keeps_the_decision_that_led_to_the_run(
    scan, catalog, prefect_server, beamline_file, decide
):
    from flows.end_of_run import end_of_run

    run_uid = scan(md=decide())
    end_of_run(run_uid, beamline_file)
    assert catalog["processed/decisions"].of_run(run_uid).run_uids == (run_uid,)


def test_what_stays_wrong_is_not_tried_again(
    scan, prefect_server, beamline_file, config, monkeypatch
):
    from flows.end_of_run import end_of_run

    calls = []
    monkeypatch.setattr(chain, "read", lambda *args: calls.append(args) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        end_of_run("nobody", beamline_file)
    assert len(calls) == 1


def test_a_lost_connection_is_tried_again(
    scan, results, prefect_server, beamline_file, monkeypatch
):
    from flows.end_of_run import end_of_run

    publish, failures = chain.publish, [ConnectionResetError("lost")]

    def frail(*args):
        if failures:
            raise failures.pop()
        return publish(*args)

    monkeypatch.setattr(chain, "publish", frail)
    run_uid = scan()
    end_of_run(run_uid, beamline_file)
    assert results[run_uid].metadata["status"] == "complete"


@pytest.mark.slow
def test_the_deployment_of_the_profiles_runs_by_http(
    scan, results, prefect_server, beamline_file, config, tiled_server
):
    """`prefect.yaml` is deployed, a job handed on twice, and one worker runs it."""
    from ainerd_bluesky.config import FlowConfig
    from flows.deployment import DeploymentRunner

    environment = {**os.environ, "PREFECT_API_URL": prefect_server}
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]

    def run(*arguments):
        command = [*prefect, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    run("work-pool", "create", "ainerd", "--type", "process")
    run("deploy", "--all", "--prefect-file", str(find_profiles() / "prefect.yaml"))

    run_uid = scan()
    flow = FlowConfig(prefect_api_url=prefect_server)
    elsewhere = config.model_copy(update={"flow": flow, "name": "not-in-the-profiles"})
    runner = DeploymentRunner(elsewhere, beamline_file)
    first, second = (runner.run(Job(run_uid, {}, created=0.0)) for _ in range(2))
    runner.close()
    assert first["flow_run_id"] == second["flow_run_id"]
    run("worker", "start", "--pool", "ainerd", "--run-once")
    assert results[run_uid].metadata["status"] == "complete"


def test_the_entry_points_of_the_deployments_are_the_flows():
    document = yaml.safe_load((find_profiles() / "prefect.yaml").read_text())
    found = [
        getattr(import_module(module), name).name
        for module, _, name in (
            deployment["entrypoint"].rpartition(".")
            for deployment in document["deployments"]
        )
    ]
    assert found == ["end-of-run", "train-model"]


def test_importing_the_flow_connects_to_nothing():
    code = (
        "import socket, flows.end_of_run, sys\n"
        "assert 'prefect' in sys.modules and 'torch' not in sys.modules\n"
    )
    guard = "import socket; socket.socket.connect = lambda *a: 1 / 0\n"
    subprocess.run([sys.executable, "-c", guard + code], check=True, timeout=60)
