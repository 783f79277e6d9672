"""A bluesky-queueserver as the queue of an agent, over 0MQ or HTTP."""

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from bluesky_queueserver_api import BPlan
from bluesky_queueserver_api.comm_base import (
    HTTPClientError,
    HTTPRequestError,
    HTTPServerError,
    RequestFailedError,
    RequestTimeoutError,
)
from bluesky_queueserver_api.http import REManagerAPI as HttpApi
from bluesky_queueserver_api.zmq import REManagerAPI as ZmqApi

from ainerd_bluesky.agents.items import read_mark
from ainerd_bluesky.agents.protocols import Item, Outcome, QueueView
from ainerd_bluesky.config import QueueConfig
from ainerd_bluesky.errors import QueueError, QueueUnreachableError

__all__ = ["QueueServer", "open_queue", "read_item", "state_in_words"]

_USER = "ainerd-agent"
_KEY = "QSERVER_HTTP_API_KEY"
_AWAY = (RequestTimeoutError, HTTPRequestError, HTTPServerError)
_LOCKED = re.compile(r"\block key\b|\b(RE Manager|queue) is locked\b", re.IGNORECASE)


def open_queue(config: QueueConfig) -> "QueueServer":
    """Return a client of a queue server; close it after use.

    Parameters
    ----------
    config : QueueConfig
        Where the server is. A key for HTTP is read from QSERVER_HTTP_API_KEY.

    Returns
    -------
    QueueServer
        The server need not answer yet.
    """
    if config.http_uri is not None:
        http = HttpApi(http_server_uri=config.http_uri)
        if os.environ.get(_KEY):
            http.set_authorization_key(api_key=os.environ[_KEY])
        return QueueServer(http, config.http_uri, config.user_group)
    api = ZmqApi(zmq_control_addr=config.control_address)
    api.user, api.user_group = _USER, config.user_group
    return QueueServer(api, config.control_address, config.user_group)


class QueueServer:
    """A queue server behind its own client.

    Parameters
    ----------
    api : REManagerAPI
        For threads, over 0MQ or HTTP.
    address : str
        Of the server, for messages.
    user_group : str
        Whose permissions count.
    """

    def __init__(self, api: ZmqApi | HttpApi, address: str, user_group: str) -> None:
        self._api = api
        self._address = address
        self._user_group = user_group

    def look(self) -> QueueView:
        """Return how it stands; an item on its way is seen at least once."""
        # In this order: an item that is in the queue no more is in the history.
        status = self._ask(self._api.status, reload=True)
        queue = self._ask(self._api.queue_get, reload=True)
        history = self._ask(self._api.history_get, reload=True)
        obstacle, hint = state_in_words(status)
        running = queue["running_item"]
        return QueueView(
            waiting=[read_item(item) for item in queue["items"]],
            running=read_item(running) if running else None,
            history=[read_item(item) for item in history["items"]],
            obstacle=obstacle,
            hint=hint,
        )

    def allowed_plans(self) -> Collection[str]:
        """Return the names of the plans that the server lets this user add."""
        answer = self._ask(
            self._api.plans_allowed, reload=True, user_group=self._user_group
        )
        return set(answer["plans_allowed"])

    def add(
        self, plan: str, arguments: Mapping[str, Any], meta: Mapping[str, Any]
    ) -> str:
        """Add a plan behind all others; return the uid of the item."""
        item = BPlan(plan, **arguments)
        item.meta = dict(meta)
        answer = self._ask(self._api.item_add, item, pos="back")
        return str(answer["item"]["item_uid"])

    def move_to_back(self, uids: Sequence[str]) -> None:
        """Put items behind all others, in this order; one that began stays."""
        try:
            self._ask(self._api.item_move_batch, uids=list(uids), pos_dest="back")
        except QueueUnreachableError:
            raise
        except QueueError:
            # One of them began in the meantime: the next look tells which are left.
            return

    def remove(self, uids: Sequence[str]) -> None:
        """Take items out; those that are gone are no error."""
        self._ask(self._api.item_remove_batch, uids=list(uids), ignore_missing=True)

    def close(self) -> None:
        """End the connection."""
        self._api.close()

    def _ask(self, method: Callable[..., Any], *args: object, **options: object) -> Any:  # noqa: ANN401 - JSON is any of its types
        """Call the server; its errors become ours."""
        try:
            return method(*args, **options)
        except _AWAY as error:
            raise QueueUnreachableError(
                f"no queue server answers at {self._address} ({error}); start it, or "
                "correct [queue] of the beamline's file"
            ) from error
        except HTTPClientError as error:
            raise QueueError(
                f"{self._address} refuses: {error}; the key is read from {_KEY}"
            ) from error
        except RequestFailedError as error:
            if _LOCKED.search(str(error)):
                raise QueueUnreachableError(
                    f"the queue at {self._address} is locked: {error}"
                ) from error
            raise QueueError(f"{self._address} refuses: {error}") from error


def read_item(item: Mapping[str, Any]) -> Item:
    """Read an item as the server has it.

    Parameters
    ----------
    item : mapping
        Of the queue or the history.

    Returns
    -------
    Item
        With its outcome, if it was tried.
    """
    result = item.get("result")
    outcome = None
    if isinstance(result, Mapping):
        outcome = Outcome(
            status=str(result.get("exit_status", "unknown")),
            run_uids=tuple(map(str, result.get("run_uids") or ())),
            message=str(result.get("msg") or ""),
        )
    return Item(
        uid=str(item.get("item_uid", "")),
        name=str(item.get("name", "")),
        user=str(item.get("user", "")),
        mark=read_mark(item.get("meta")),
        outcome=outcome,
        args=item.get("args") or (),
        kwargs=item.get("kwargs") or {},
    )


def state_in_words(status: Mapping[str, Any]) -> tuple[str, str]:
    """Tell an operator what keeps an agent from adding, or its items from running.

    Parameters
    ----------
    status : mapping
        Of the RE manager.

    Returns
    -------
    tuple of str
        Why nothing should be added, and what else to know; empty where all is well.

    Examples
    --------
    >>> state_in_words({"worker_environment_exists": False})[0]
    'the environment of the queue server is closed: open it'
    """
    if not status.get("worker_environment_exists"):
        return "the environment of the queue server is closed: open it", ""
    if "paused" in {status.get("manager_state"), status.get("re_state")}:
        return "a plan is paused: resume it, or stop it", ""
    if (status.get("lock") or {}).get("queue"):
        return "the queue is locked: unlock it", ""
    if (status.get("plan_queue_mode") or {}).get("loop"):
        return "the queue is in loop mode, in which all is done again: end that", ""
    if status.get("queue_stop_pending"):
        return "", "the queue stops after this plan"
    runs = status.get("manager_state") in {"executing_queue", "starting_queue"}
    if not runs and not status.get("queue_autostart_enabled"):
        return "", "the queue is not started: start it, or turn autostart on"
    return "", ""
