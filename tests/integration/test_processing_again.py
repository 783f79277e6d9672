"""Old files processed again with another model, against a real server."""

import uuid

import numpy as np
import pytest

from flows.archive import Archive, FileReading

pytestmark = pytest.mark.integration
pytest.importorskip("torch")


class NextModel:
    """The shipped model as if it were another one."""

    sha256 = "fe" * 32

    def __init__(self, model):
        self._model = model

    def __getattr__(self, name):
        return getattr(self._model, name)


@pytest.fixture
def path(tmp_path):
    lag = np.abs(np.subtract.outer(np.arange(80), np.arange(80)))
    path = tmp_path / f"maps-{uuid.uuid4().hex[:8]}.npy"
    np.save(path, 1 + 0.2 * np.exp(-lag / 10))
    return path


def test_file_ingested_with_another_model_has_a_result_of_each(catalog, path):
    from ainerd_bluesky.ml import load_model

    first = load_model()
    reading = FileReading(frame_time=0.1)
    (before,) = Archive(catalog, first, reading).ingest([path])
    (after,) = Archive(catalog, NextModel(first), reading).ingest([path])

    run = catalog["processed/xpcs", before.summary["run_uid"]]
    assert before.error is after.error is None
    assert run.metadata["model"]["sha256"] == NextModel.sha256
    models = {node.metadata["model"]["sha256"] for node in run.values()}
    assert models == {first.sha256, NextModel.sha256}
