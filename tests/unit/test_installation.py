import pytest
from bluesky import RunEngine

from ainerd_bluesky import installation
from ainerd_bluesky.config import BeamlineConfig, CatalogConfig, FlowConfig
from ainerd_bluesky.installation import install


@pytest.fixture
def config(tmp_path):
    return BeamlineConfig(
        name="b",
        detector={"field": "eiger"},
        partition={"path": tmp_path / "q.h5"},
        catalog=CatalogConfig(uri="http://127.0.0.1:9", allowed_roots=(tmp_path,)),
        flow=FlowConfig(outbox=tmp_path / "outbox"),
    )


@pytest.fixture
def RE():
    return RunEngine({}, call_returns_result=False)


@pytest.fixture
def put(RE, config, monkeypatch):
    """Install with a worker that does nothing."""
    monkeypatch.setattr(installation, "_WORKER_MODULE", "this")
    installed = []

    def run(config=config, **settings):
        installed.append(install(RE, config, api_key="secret", live=False, **settings))
        return installed[-1]

    yield run
    for one in installed:
        one.close()


def test_without_a_server_the_cure_is_told_with_its_brackets(put, config, capsys):
    put()
    said = capsys.readouterr().err
    assert said.startswith("No Tiled for now: ")
    assert str(config.flow.outbox) in said
    installation._warn("Odd:", "correct [catalog] of it")
    assert capsys.readouterr().err == "Odd: correct [catalog] of it\n"


@pytest.mark.parametrize(("write", "is_told"), [(True, True), (False, False)])
def test_a_writer_without_folders_is_told_of(put, config, capsys, write, is_told):
    catalog = config.catalog.model_copy(update={"allowed_roots": ()})
    put(config.model_copy(update={"catalog": catalog}), write=write)
    assert ("catalog.allowed_roots" in capsys.readouterr().err) == is_told


def test_a_beamline_that_writes_its_runs_itself_gets_no_writer(put):
    own = put(write=False)
    assert own.writer is None
    assert put(write=False) is own
    assert put(write=True).writer is not None
