import httpx
import pytest
from tiled.client.utils import ClientError

from ainerd_bluesky.errors import (
    CatalogError,
    ConfigError,
    PartitionError,
    RunNotReadyError,
    UnsuitableRunError,
)
from flows.retries import is_transient


def answer(code, kind=ClientError):
    request = httpx.Request("GET", "http://tiled")
    response = httpx.Response(code, request=request)
    return kind(f"answered {code}", request=request, response=response)


def caused_by(cause):
    error = RuntimeError("no way")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RunNotReadyError("x"), True),
        (CatalogError("x"), True),
        (httpx.ConnectError("x"), True),
        (httpx.ReadTimeout("x"), True),
        (answer(503), True),
        (answer(429), True),
        (answer(500, httpx.HTTPStatusError), True),
        (caused_by(httpx.ConnectError("x")), True),
        (answer(404), False),
        (answer(401), False),
        (UnsuitableRunError("x"), False),
        (PartitionError("x"), False),
        (ConfigError("x"), False),
        (OSError("x"), False),
        (caused_by(ValueError("x")), False),
    ],
    ids=repr,
)
def test_only_what_can_get_better_is_worth_another_try(error, expected):
    assert is_transient(error) == expected
