import pytest

pytest.importorskip("torch")

from typer.testing import CliRunner

from ainerd_bluesky.errors import ConfigError, ModelError
from ainerd_bluesky.ml import load_model, training
from ainerd_bluesky.ml.commands import model_app


def test_show_prints_the_figures(tiny_folder):
    done = CliRunner().invoke(model_app, ["show", str(tiny_folder)])

    assert done.exit_code == 0
    assert "tiny 2.2" in done.output
    assert "macro-F1" in done.output
    assert "oscillatory" in done.output


def test_show_shipped_by_default():
    done = CliRunner().invoke(model_app, ["show"])

    assert done.exit_code == 0
    assert "signal to noise" in done.output


def test_show_prints_the_card_of_a_baseline(published_folder):
    done = CliRunner().invoke(model_app, ["show", str(published_folder)])

    assert done.exit_code == 0
    assert "tiny-published 1.0" in done.output
    assert "A baseline to hold a model against" in done.output


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    command = ["train", "--output", str(folder), "--maps", "90", "--epochs", "1"]
    named = ["--name", "own", "--version", "3.1", "--held-out", "90", "--seed", "4"]
    done = CliRunner().invoke(model_app, [*command, *named], catch_exceptions=False)
    return folder, done


def test_train_writes_a_model_that_loads(trained):
    folder, done = trained
    model = load_model(folder)
    training = model.card["training"]

    assert done.exit_code == 0
    assert (training["n_maps"], training["seed"]) == (90, 4)
    assert (model.name, model.version) == ("own", "3.1")
    assert "Wrote" in done.output


def test_train_draws_the_losses(trained):
    pytest.importorskip("matplotlib")

    folder, _ = trained
    assert (folder / "own.loss.png").read_bytes()[:4] == b"\x89PNG"


def test_train_published_writes_a_baseline_that_loads(tmp_path):
    command = ["train", "--preset", "published", "--output", str(tmp_path)]
    small = ["--maps", "90", "--held-out", "90", "--epochs", "1"]

    done = CliRunner().invoke(model_app, [*command, *small], catch_exceptions=False)

    card = load_model(tmp_path).card
    assert done.exit_code == 0
    assert (card["name"], card["preset"]) == ("ai-nerd", "published")
    assert card["training"]["n_epochs"] == 1


@pytest.fixture
def configs(monkeypatch):
    """Settings that training is asked for; it is not done."""
    asked = []

    def train(config, **_):
        asked.append(config)
        raise ModelError("asked for")

    monkeypatch.setattr(training, "train", train)
    return asked


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"size": 64, "n_images": 1}),
        (["--full"], dict(training.PAPER_SIZE)),
        (["--full", "--epochs", "2"], {**training.PAPER_SIZE, "n_epochs": 2}),
    ],
    ids=["minutes", "full", "full-but"],
)
def test_sizes_of_a_baseline(configs, tmp_path, options, expected):
    command = ["train", "--preset", "published", "--output", str(tmp_path)]

    CliRunner().invoke(model_app, [*command, *options])

    found = configs[0].model_dump()
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--full"], "--preset published"),
        (["--name", "../up"], "--name: .*got '../up'"),
        (["--version", "1/2"], "--version: .*got '1/2'"),
        (["--name", "second"], "holds first.json already"),
    ],
    ids=["full", "name", "version", "folder"],
)
def test_what_cannot_be_trained_is_refused_at_once(configs, tmp_path, options, message):
    (tmp_path / "first.json").touch()
    command = ["train", "--output", str(tmp_path), *options]

    with pytest.raises(ConfigError, match=message):
        CliRunner().invoke(model_app, command, catch_exceptions=False)

    assert configs == []
