"""Ways to name a catalog that need a process of their own."""

import json
import os
import subprocess
import sys
import time

import pytest

from ainerd_bluesky.errors import CatalogError
from tiled_adapters.catalog import open_catalog

pytestmark = pytest.mark.integration

_OPEN = """
import json, sys, warnings
import databroker
from tiled_adapters.catalog import open_catalog
from tiled_adapters.client import XPCSResultsCatalog
opened = [open_catalog("beamline"), open_catalog(databroker.catalog["beamline"])]
print(json.dumps([sorted(catalog) for catalog in opened]))
results = databroker.catalog["beamline"]["processed/xpcs"]
print(isinstance(open_catalog(results), XPCSResultsCatalog))
"""


def test_profile_and_databroker_catalog_are_accepted(tiled_server, tmp_path):
    profile = tmp_path / "profiles.yml"
    profile.write_text(f"beamline:\n  uri: {tiled_server.uri}\n")
    done = subprocess.run(
        [sys.executable, "-c", _OPEN],
        env={
            **os.environ,
            "TILED_PROFILES": str(tmp_path),
            "TILED_API_KEY": tiled_server.api_key,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    listing, is_ours = done.stdout.splitlines()
    by_profile, by_databroker = json.loads(listing)
    assert by_profile == by_databroker
    assert {"processed", "raw"} <= set(by_profile)
    assert is_ours == "True"


def test_container_is_taken_as_it_is(catalog):
    assert open_catalog(catalog["raw"]).path_parts == ["raw"]


def test_uri_of_a_container_opens_it(tiled_server, catalog):
    opened = open_catalog(catalog["raw"].uri, api_key=tiled_server.api_key)
    opened.context.close()
    assert opened.path_parts == ["raw"]


def test_server_that_is_not_there_is_told_quickly():
    start = time.monotonic()
    with pytest.raises(CatalogError, match="ainerd serve"):
        open_catalog("http://127.0.0.1:1")
    assert time.monotonic() - start < 5


def test_profile_that_is_not_there_is_told(monkeypatch):
    with pytest.raises(CatalogError, match="no Tiled profile 'nowhere'"):
        open_catalog("nowhere")


def test_thing_that_is_no_catalog_is_told():
    with pytest.raises(CatalogError, match="got 7"):
        open_catalog(7)
