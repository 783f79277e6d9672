"""What a queue server says, in our words."""

import re
from pathlib import Path

import pytest

pytest.importorskip("bluesky_queueserver_api")

import httpx
import yaml
from bluesky_queueserver_api.comm_base import (
    HTTPClientError,
    HTTPRequestError,
    RequestFailedError,
    RequestTimeoutError,
)

from ainerd_bluesky.agents.protocols import Mark, Outcome
from ainerd_bluesky.agents.queue_server import (
    QueueServer,
    open_queue,
    read_item,
    state_in_words,
)
from ainerd_bluesky.config import QueueConfig
from ainerd_bluesky.errors import QueueError, QueueUnreachableError

OPEN = {
    "worker_environment_exists": True,
    "manager_state": "executing_queue",
    "re_state": "running",
    "queue_autostart_enabled": False,
    "queue_stop_pending": False,
    "lock": {"environment": False, "queue": False},
    "plan_queue_mode": {"loop": False, "ignore_failures": False},
}


@pytest.mark.parametrize(
    ("change", "obstacle", "hint"),
    [
        ({}, "", ""),
        ({"worker_environment_exists": False}, "environment .* is closed", ""),
        ({"manager_state": "paused"}, "paused: resume it", ""),
        ({"re_state": "paused"}, "paused", ""),
        ({"lock": {"queue": True}}, "locked: unlock it", ""),
        ({"plan_queue_mode": {"loop": True}}, "loop mode", ""),
        ({"manager_state": "idle"}, "", "not started: start it"),
        ({"manager_state": "idle", "queue_autostart_enabled": True}, "", ""),
        ({"queue_stop_pending": True}, "", "stops after this plan"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_in_the_way_is_said_to_an_operator(change, obstacle, hint):
    said = state_in_words({**OPEN, **change})
    for expected, text in zip((obstacle, hint), said, strict=True):
        assert bool(expected) == bool(text)
        assert re.search(expected, text)


def test_an_item_of_the_history_has_its_outcome():
    item = read_item(
        {
            "item_type": "plan",
            "name": "xpcs_scan",
            "item_uid": "u1",
            "user": "ainerd-agent",
            "meta": {"agent": {"id": "gel-1", "key": "d1"}, "campaign": "gel"},
            "args": [["detector"]],
            "kwargs": {"sample": "A"},
            "result": {
                "exit_status": "failed",
                "run_uids": ["r1"],
                "msg": "no beam",
                "time_start": 1.0,
            },
        }
    )
    assert item.mark == Mark("gel-1", "gel", "d1")
    assert (item.args, item.kwargs) == ([["detector"]], {"sample": "A"})
    assert item.outcome == Outcome("failed", ("r1",), "no beam")


def test_an_instruction_of_a_person_is_an_item_without_mark():
    item = read_item({"item_type": "instruction", "name": "queue_stop"})
    assert (item.mark, item.outcome) == (None, None)


@pytest.mark.parametrize(
    ("status", "run_uids", "is_success"),
    [
        ("completed", ("r",), True),
        ("stopped", ("r",), True),
        ("completed", (), False),
        ("unknown", ("r",), True),
        ("failed", ("r",), False),
        ("aborted", ("r",), False),
    ],
)
def test_only_runs_that_ended_well_may_have_a_label(status, run_uids, is_success):
    assert Outcome(status, run_uids).is_success == is_success


class Broken:
    """An interface whose every call fails."""

    def __init__(self, error):
        self._error = error

    def __getattr__(self, name):
        def fail(*_, **__):
            raise self._error

        return fail


HTTP = httpx.Request("GET", "http://q/api/status")
UNAUTHORISED = HTTPClientError(
    "401: bad key", request=HTTP, response=httpx.Response(401, request=HTTP)
)


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (RequestTimeoutError("2 s", {}), QueueUnreachableError, "no queue server"),
        (HTTPRequestError("refused"), QueueUnreachableError, "no queue server"),
        (
            RequestFailedError({}, {"msg": "Queue is locked"}),
            QueueUnreachableError,
            "is locked",
        ),
        (
            RequestFailedError(
                {}, {"msg": "Invalid lock key: \nRE Manager is locked by"}
            ),
            QueueUnreachableError,
            "is locked",
        ),
        (RequestFailedError({}, {"msg": "bad plan"}), QueueError, "refuses: .*bad"),
        (
            RequestFailedError({}, {"msg": "no sample 'blocked-copolymer'"}),
            QueueError,
            "refuses: .*blocked-copolymer",
        ),
        (UNAUTHORISED, QueueError, "refuses: 401"),
    ],
    ids=["timeout", "http", "locked", "lock key", "refused", "blocked", "key"],
)
def test_errors_of_the_server_become_ours(error, expected, message):
    server = QueueServer(Broken(error), "tcp://q:60615", "primary")
    with pytest.raises(expected, match=message) as raised:
        server.look()
    assert raised.type is expected


@pytest.mark.parametrize("function", ["system", "exec_shell", "_private"])
def test_the_example_of_permissions_lets_an_agent_call_no_function(function):
    profile_ops = pytest.importorskip("bluesky_queueserver.manager.profile_ops")
    path = Path(__file__).parents[3] / "profiles/queue-server"
    permissions = yaml.safe_load((path / "user_group_permissions.yaml").read_text())
    assert not profile_ops.check_if_function_allowed(
        function, group_name="primary", user_group_permissions=permissions
    )


def test_items_that_began_in_the_meantime_are_not_moved_and_no_error():
    broken = Broken(RequestFailedError({}, {"msg": "no such item"}))
    server = QueueServer(broken, "tcp://q:60615", "primary")
    server.move_to_back(["u1"])


def test_a_key_and_an_address_for_http_are_used(monkeypatch):
    monkeypatch.setenv("QSERVER_HTTP_API_KEY", "secret1")
    server = open_queue(QueueConfig(http_uri="http://127.0.0.1:9"))
    assert server._api.auth_key == "secret1"
    with pytest.raises(QueueUnreachableError, match="no queue server answers at http"):
        server.look()
    server.close()
