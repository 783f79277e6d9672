import asyncio
import os
import socket
from contextlib import nullcontext

import pytest

from ainerd_bluesky.errors import CatalogError, ConfigError
from tiled_adapters.serving import _listen, ensure_api_key, require_unserved


def test_key_is_made_once_and_kept_private(tmp_path):
    key = ensure_api_key(tmp_path / "new")
    assert key.isalnum()
    assert len(key) == 64
    assert ensure_api_key(tmp_path / "new") == key
    assert (tmp_path / "new/api_key").stat().st_mode & 0o777 == 0o600


def test_key_of_a_person_replaces_the_one_in_the_file(tmp_path):
    ensure_api_key(tmp_path)
    assert ensure_api_key(tmp_path, "abc123") == "abc123"
    assert (tmp_path / "api_key").read_text() == "abc123"
    assert (tmp_path / "api_key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("note", "is_refused"),
    [
        (f'{{"uri": "http://x", "pid": {os.getpid()}}}', True),
        ('{"uri": "http://x", "pid": 999999999}', False),
        ("half writ", False),
    ],
    ids=["alive", "dead", "damaged"],
)
def test_folder_has_one_server_at_a_time(tmp_path, note, is_refused):
    (tmp_path / "server.json").write_text(note)
    outcome = (
        pytest.raises(CatalogError, match="served already at http://x")
        if is_refused
        else nullcontext()
    )
    with outcome:
        require_unserved(tmp_path)


@pytest.mark.parametrize("key", ["a-b", "ä1", "a b"])
def test_key_that_tiled_does_not_take_is_refused(tmp_path, key):
    with pytest.raises(ConfigError, match="letters and digits"):
        ensure_api_key(tmp_path, key)


def test_port_that_is_taken_is_told_with_the_cure():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(CatalogError, match="--port"):
            _listen("127.0.0.1", taken.getsockname()[1])


def test_answers_do_not_wait_for_the_client_to_acknowledge_them():
    async def is_sent_at_once():
        accepted = asyncio.get_running_loop().create_future()
        listener = _listen("127.0.0.1", 0)
        async with await asyncio.start_server(
            lambda _, writer: accepted.set_result(writer), sock=listener
        ):
            _, client = await asyncio.open_connection(*listener.getsockname())
            answering = await accepted
            connection = answering.get_extra_info("socket")
            is_at_once = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            for writer in (client, answering):
                writer.close()
                await writer.wait_closed()
        return is_at_once

    assert asyncio.run(is_sent_at_once())
