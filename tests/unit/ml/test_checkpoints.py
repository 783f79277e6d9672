from contextlib import contextmanager

import pytest

pytest.importorskip("torch")

import torch

from ainerd_bluesky.errors import ModelError
from ainerd_bluesky.files import replaced
from ainerd_bluesky.ml import checkpoints
from ainerd_bluesky.ml.checkpoints import Checkpoint, Checkpoints


def at(epoch):
    return Checkpoint({"w": torch.full((3,), float(epoch))}, {"epoch": epoch})


@pytest.fixture
def kept(tmp_path):
    return Checkpoints(tmp_path / "checkpoint")


def test_nothing_kept_is_no_checkpoint(kept):
    assert kept.load("a") is None


def test_the_last_checkpoint_comes_back_bit_by_bit(kept, tmp_path):
    tensors = {"w": torch.rand(5), "n": torch.tensor(3)}
    kept.save("a", at(1))
    kept.save("a", Checkpoint(tensors, {"losses": [0.1, 1 / 3]}))
    back = kept.load("a")
    assert all(torch.equal(back.tensors[key], tensors[key]) for key in tensors)
    assert back.facts == {"losses": [0.1, 1 / 3]}
    assert len(list((tmp_path / "checkpoint").iterdir())) == 2


@pytest.mark.parametrize("n_written", [0, 1])
def test_a_crash_while_saving_leaves_the_one_before(kept, monkeypatch, n_written):
    kept.save("a", at(1))
    left = [n_written]

    @contextmanager
    def crash(path):
        if not left[0]:
            raise OSError("no space left")
        left[0] -= 1
        with replaced(path) as draft:
            yield draft

    monkeypatch.setattr(checkpoints, "replaced", crash)
    with pytest.raises(OSError, match="no space"):
        kept.save("a", at(2))
    assert kept.load("a").facts == {"epoch": 1}


def damage(folder):
    [path] = folder.glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "identity", "message"),
    [
        (damage, "a", "damaged checkpoint: sha256 .*delete"),
        (lambda folder: None, "b", "another training .*name another folder"),
        (lambda folder: next(folder.glob("*.saf*")).unlink(), "a", "is no checkpoint"),
        (lambda f: (f / "checkpoint.json").write_text("{}"), "a", "is no checkpoint"),
        (lambda f: (f / "checkpoint.json").write_text("?"), "a", "is no checkpoint"),
    ],
    ids=["damaged", "another", "missing", "empty", "no JSON"],
)
def test_what_cannot_be_gone_on_from_is_refused(
    kept, tmp_path, change, identity, message
):
    kept.save("a", at(1))
    change(tmp_path / "checkpoint")
    with pytest.raises(ModelError, match=message):
        kept.load(identity)
