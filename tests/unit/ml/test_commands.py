import pytest

pytest.importorskip("torch")

from typer.testing import CliRunner

from ainerd_bluesky.ml import load_model
from ainerd_bluesky.ml.commands import model_app


def test_show_prints_the_figures(tiny_folder):
    done = CliRunner().invoke(model_app, ["show", str(tiny_folder)])

    assert done.exit_code == 0
    assert "tiny 2.0" in done.output
    assert "macro-F1" in done.output
    assert "oscillatory" in done.output


def test_show_shipped_by_default():
    done = CliRunner().invoke(model_app, ["show"])

    assert done.exit_code == 0
    assert "signal to noise" in done.output


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    command = ["train", "--output", str(folder), "--maps", "90", "--epochs", "1"]
    done = CliRunner().invoke(
        model_app, [*command, "--held-out", "90", "--seed", "4"], catch_exceptions=False
    )
    return folder, done


def test_train_writes_a_model_that_loads(trained):
    folder, done = trained
    training = load_model(folder).card["training"]

    assert done.exit_code == 0
    assert (training["n_maps"], training["seed"]) == (90, 4)
    assert "Wrote" in done.output


def test_train_draws_the_losses(trained):
    pytest.importorskip("matplotlib")

    folder, _ = trained
    assert (folder / "ainerd-xpcs.loss.png").read_bytes()[:4] == b"\x89PNG"
