"""A beamline's TOML: what is accepted, and what a person is told otherwise."""

import pytest

from ainerd_bluesky.config import ClassificationConfig, load_beamline
from ainerd_bluesky.errors import ConfigError

GOOD = """
name = "test"
[detector]
field = "eiger"
frame_time = 0.01
[partition]
path = "qmap.hdf"
[catalog]
allowed_roots = ["frames", "/data"]
[flow]
outbox = "out"
"""

BAD = {
    "unknown-key": (GOOD + "\n[quality]\nmin_frame = 3\n", "quality.min_frame"),
    "out-of-bounds": (GOOD.replace("0.01", "-1"), "detector.frame_time.*-1"),
    "missing-section": (GOOD.replace("[partition]\npath", "#"), "partition: Field"),
    "wrong-runner": (GOOD + 'runner = "magic"\n', "flow.runner.*'magic'"),
    "key-in-uri": (
        GOOD.replace("[catalog]", '[catalog]\nuri = "http://t:8000?api_key=1"'),
        "catalog.uri",
    ),
    "no-name-in-the-registry": (
        GOOD + '[classification]\nmodel = "registry:@1.0"\n',
        "classification.model.*registry:NAME@VERSION.*'registry:@1.0'",
    ),
    "not-toml": ("name = ", "not valid TOML"),
    "not-text": (b"\xff\xfe", "not valid TOML"),
}


def test_relative_paths_start_at_the_folder_of_the_file(tmp_path):
    (tmp_path / "test.toml").write_text(GOOD)
    config = load_beamline(tmp_path / "test.toml")
    assert config.partition.path == tmp_path / "qmap.hdf"
    assert config.flow.outbox == tmp_path / "out"
    assert config.catalog.allowed_roots[0] == tmp_path / "frames"
    assert str(config.catalog.allowed_roots[1]) == "/data"


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_bad_file_is_refused_by_key(tmp_path, text, message):
    path = tmp_path / "test.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=message):
        load_beamline(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*none\.toml"):
        load_beamline(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("shipped", None),
        ("/models/mine", None),
        ("registry:ainerd-xpcs", ("ainerd-xpcs", None)),
        ("registry:ainerd-xpcs@1.2", ("ainerd-xpcs", "1.2")),
    ],
)
def test_a_model_of_the_registry_is_told_from_a_folder(model, expected):
    assert ClassificationConfig(model=model).registered == expected
