"""The queries of the README and of the how-to, against a real server."""

import re
import textwrap
from pathlib import Path

import bluesky.plans as bp
import numpy as np
import pytest
from bluesky_tiled_plugins import TiledWriter

from tiled_adapters.publish import ResultsPublisher

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
ADDRESS = "http://127.0.0.1:8000"


def blocks(name):
    text = (ROOT / name).read_text()
    found = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    return "\n".join(textwrap.dedent(block) for block in found if "results" in block)


@pytest.fixture
def published(catalog, results, make_analysis, hdf5_detector, run_engine):
    """Uid of a run that is in the catalog with its result."""
    detector = hdf5_detector(np.ones((5, 6, 7), np.uint16))
    writer = TiledWriter(catalog["raw"], batch_size=1)
    (uid,) = run_engine(bp.count([detector]), writer, technique="XPCS")
    ResultsPublisher(results).publish(make_analysis(run_uid=uid))
    return uid


@pytest.mark.parametrize("name", ["README.md", "docs/how-to/query.md"])
def test_documented_query_runs(name, published, tiled_server, monkeypatch, capsys):
    monkeypatch.setenv("TILED_API_KEY", tiled_server.api_key)
    names = {"uid": published}
    exec(blocks(name).replace(ADDRESS, tiled_server.uri), names)
    assert published in set(names["results"].labels_table()["run_uid"])
    assert published in list(names["results"].find(label="aging", min_confidence=0.8))
    names["results"].context.http_client.close()


def test_query_by_run_uid_gives_map_and_run(results, published):
    assert results[published]["two_time"][0].shape == (40, 40)
    assert results.run(published).metadata["start"]["uid"] == published
