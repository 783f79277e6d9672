import pytest


@pytest.fixture(scope="session")
def tiny_bundle():
    """A model trained for two seconds: good for nothing but its shape."""
    pytest.importorskip("torch")
    from ainerd_bluesky.ml import TrainingConfig, train

    return train(
        TrainingConfig(
            name="tiny",
            n_maps=90,
            n_held_out=90,
            n_epochs=2,
            n_kind=4,
            n_shape=4,
            width=8,
            batch_size=32,
            n_threads=1,
        )
    )


@pytest.fixture(scope="session")
def published_bundle():
    """A baseline of the published architecture, after two rounds."""
    pytest.importorskip("torch")
    from ainerd_bluesky.ml.training import PublishedConfig, train

    return train(
        PublishedConfig(
            name="tiny-published", n_maps=90, n_held_out=90, n_epochs=2, n_threads=1
        )
    )


@pytest.fixture
def published_folder(published_bundle, tmp_path):
    from ainerd_bluesky.ml import save_bundle

    save_bundle(published_bundle, tmp_path / "published")
    return tmp_path / "published"


@pytest.fixture
def tiny_folder(tiny_bundle, tmp_path):
    from ainerd_bluesky.ml import save_bundle

    save_bundle(tiny_bundle, tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture(scope="session")
def shipped():
    pytest.importorskip("torch")
    from ainerd_bluesky.ml import load_model

    return load_model("shipped")
