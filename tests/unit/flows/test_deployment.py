import json

import httpx
import pytest

from ainerd_bluesky.callbacks.job import Job
from ainerd_bluesky.config import load_beamline
from ainerd_bluesky.errors import CatalogError, ConfigError
from ainerd_bluesky.profiles import beamline_path
from flows.deployment import DeploymentRunner

JOB = Job("abcdefghijkl", {"scan_id": 7}, created=0.0)


class Prefect:
    """The two requests of a Prefect server that matter."""

    def __init__(self):
        self.runs = {}
        self.requests = []
        self.is_up = self.has_deployment = True

    def __call__(self, request):
        if not self.is_up:
            raise httpx.ConnectError("refused", request=request)
        if request.method == "GET":
            code = 200 if self.has_deployment else 404
            return httpx.Response(code, json={"id": "the-deployment"})
        body = json.loads(request.content)
        self.requests.append((request.url.path, body))
        is_new = body["idempotency_key"] not in self.runs
        run = self.runs.setdefault(body["idempotency_key"], f"run-{len(self.runs)}")
        return httpx.Response(201 if is_new else 200, json={"id": run})


@pytest.fixture
def prefect():
    return Prefect()


@pytest.fixture
def config():
    return load_beamline(beamline_path("demo"))


@pytest.fixture
def reference(tmp_path):
    """What `install` leaves in the outbox."""
    path = tmp_path / "beamline.json"
    path.touch()
    return str(path)


@pytest.fixture
def make_runner(prefect, reference):
    made = []

    def make(config):
        transport = httpx.MockTransport(prefect)
        made.append(DeploymentRunner(config, reference, transport=transport))
        return made[-1]

    yield make
    for runner in made:
        runner.close()


@pytest.fixture
def runner(make_runner, config):
    return make_runner(config)


def test_a_job_becomes_one_flow_run_however_often_it_is_handed_on(runner, prefect):
    assert runner.run(JOB) == {"flow_run_id": "run-0", "was_there": False}
    assert runner.run(JOB) == {"flow_run_id": "run-0", "was_there": True}
    path, body = prefect.requests[0]
    assert path == "/api/deployments/the-deployment/create_flow_run"
    assert body["parameters"] == {"run_uid": "abcdefghijkl", "beamline": "demo"}
    assert body["name"] == "scan-7-abcdefgh"
    assert body["tags"] == ["uid:abcdefghijkl"]


@pytest.mark.parametrize(
    "change", [{"technique": "WAXS"}, {"name": "atlantis"}], ids=str
)
def test_a_beamline_the_profiles_do_not_know_is_handed_on_as_its_file(
    make_runner, prefect, config, reference, change
):
    make_runner(config.model_copy(update=change)).run(JOB)
    assert prefect.requests[0][1]["parameters"]["beamline"] == reference


def test_a_job_that_was_put_back_by_a_person_is_a_new_flow_run(runner):
    runner.run(JOB)
    assert not runner.run(JOB.noted("requeued"))["was_there"]


def test_a_deployment_that_is_not_there_is_named_with_the_cure(runner, prefect):
    prefect.has_deployment = False
    with pytest.raises(
        ConfigError, match=r"no deployment 'end-of-run/ainerd' .*deploy"
    ):
        runner.run(JOB)


def test_a_server_that_is_away_is_named_with_the_cure(runner, prefect):
    prefect.is_up = False
    with pytest.raises(CatalogError, match=r"no Prefect server answers at .*start it"):
        runner.prepare()
