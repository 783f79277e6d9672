import asyncio

import pytest
from tiled.access_control.access_policies import ALL_ACCESS, NO_ACCESS

from tiled_adapters.policy import RequestScopesPolicy

READ = {"read:metadata"}


@pytest.mark.parametrize(
    ("granted", "wanted", "answer"),
    [
        (READ, READ, ALL_ACCESS),
        (set(), READ, NO_ACCESS),
        (READ, READ | {"write:data"}, NO_ACCESS),
    ],
    ids=["granted", "stranger", "reader-who-writes"],
)
def test_request_gets_what_it_came_with(granted, wanted, answer):
    policy = RequestScopesPolicy()
    filters = policy.filters(None, None, None, granted, wanted)
    assert asyncio.run(filters) == answer
    assert asyncio.run(policy.allowed_scopes(None, None, None, granted)) == granted
