"""The table of fingerprints, and searches in a large one without a server."""

import time
import uuid

import numpy as np
import pandas as pd
import pytest

import tiled_adapters.fingerprints
from tiled_adapters.client import XPCSResultsCatalog
from tiled_adapters.fingerprint_table import FingerprintTable

SHA = "ab" * 32


def table(uids, offset=0.0, published=0.0):
    n = len(uids)
    Z = offset + np.arange(2.0 * n).reshape(n, 2)
    return FingerprintTable(
        SHA, np.array(uids, np.str_), Z, np.full(n, published), np.full(n, np.nan)
    )


@pytest.mark.parametrize(
    ("newer", "uids"),
    [
        (["b"], ["b", "d"]),
        (["a", "c", "e"], ["a", "b", "c", "d", "e"]),
        (["b", "longer than any", "zz"], ["b", "d", "longer than any", "zz"]),
    ],
    ids=["known", "new", "long"],
)
def test_newer_rows_take_their_places(newer, uids):
    joined = table(["b", "d"]).updated(table(newer, offset=100.0, published=9.0))

    assert joined.run_uids.tolist() == uids
    is_newer = np.isin(uids, newer)
    assert (joined.published == 9.0).tolist() == is_newer.tolist()
    np.testing.assert_array_equal(joined.Z[is_newer], table(newer, offset=100.0).Z)


def test_no_news_leave_the_table_itself():
    known = table(list("abcd"))
    assert known.updated(known.only("bd")) is known
    assert known.updated(known.only("")) is known


@pytest.mark.parametrize("uids", ["", "b", "xyz", "dab", "aa"])
def test_some_rows_and_all_others_are_the_whole(uids):
    known = table(list("abcd"))

    chosen, others = known.only(uids), known.without(uids)

    assert chosen.run_uids.tolist() == sorted(set(uids) & set("abcd"))
    assert others.run_uids.tolist() == sorted(set("abcd") - set(uids))
    assert others.updated(chosen).is_equal(known)


def test_file_holds_the_table(tmp_path):
    path = FingerprintTable.path("http://here", SHA, tmp_path)
    table(["a", "b"]).save(path)

    assert FingerprintTable.load(path, SHA).is_equal(table(["a", "b"]))


class Everything(XPCSResultsCatalog):
    """A catalog of 100,000 runs that answers what is asked for them, with no server."""

    uri = "http://nowhere"
    _queries = ()

    def __init__(self, uids):
        self.uids = uids

    def __len__(self):
        return len(self.uids)

    def __getitem__(self, uid):
        return self.summaries[uid]

    def new_variation(self, **_):
        return self

    def search(self, query):
        is_some = getattr(query, "key", "") == "run_uid"
        return Everything(query.value) if is_some else self

    def labels_table(self):
        return pd.DataFrame({"run_uid": self.uids, "label": "aging"})


class Summary:
    """A run of which only the summary is asked for."""

    def __init__(self, uid, z):
        self.metadata = {
            "run_uid": uid,
            "label": "aging",
            "status": "complete",
            "model": {"name": "ae", "version": "1.0", "sha256": SHA},
            "fingerprint": z.tolist(),
        }


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Home of the cache, and the table of 100,000 runs in it."""
    rng = np.random.default_rng(0)
    uids = np.sort([str(uuid.UUID(bytes=rng.bytes(16))) for _ in range(100_000)])
    Z = rng.normal(size=(100_000, 64))
    known = FingerprintTable(SHA, uids, Z, np.arange(1e5), np.zeros(100_000))
    home = tmp_path_factory.mktemp("cache")
    folder = home / "ainerd-bluesky/fingerprints"
    known.save(FingerprintTable.path(Everything.uri, SHA, folder))
    return home, known


@pytest.mark.parametrize(
    ("queries", "n_asked"), [((), []), (("label",), [100])], ids=["all", "narrowed"]
)
def test_hundred_thousand_runs_are_searched_within_a_second(
    large, queries, n_asked, monkeypatch
):
    home, known = large
    uids, Z = known.run_uids, known.Z
    recent = known.only(uids[-300:])
    names = ("run_uid", "fingerprint", "published", "novelty")
    pages = [
        dict(zip(names, row, strict=True)) for row in zip(*recent.columns, strict=True)
    ]
    asked = []

    def summary_rows(found, columns):
        if "fingerprint" in columns:
            return iter(pages)
        asked.append(len(found))
        return ({"run_uid": uid} for uid in found.uids)

    monkeypatch.setattr(tiled_adapters.fingerprints, "summary_rows", summary_rows)
    # Nothing is new: a file of 66 MB is not to be written again.
    monkeypatch.setattr(FingerprintTable, "save", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    results = Everything(uids.tolist())
    results._queries = queries
    results.summaries = {uids[7]: Summary(uids[7], Z[7])}

    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        frame = results.similar_to(uids[7], 10)
        seconds.append(time.perf_counter() - start)

    nearest = np.argsort(np.linalg.norm(Z - Z[7], axis=1))[1:11]
    assert frame["run_uid"].tolist() == uids[nearest].tolist()
    assert asked == 3 * n_asked
    # Measured: 0.2 s on one core, most of it reading the file.
    assert min(seconds) < 1.0
