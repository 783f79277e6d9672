import h5py
import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.formats import open_frames


@pytest.fixture
def save(tmp_path):
    def write(**arrays):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            for name, array in arrays.items():
                file[f"group/{name}"] = array
        return tmp_path / "x.h5"

    return write


def test_stack_is_found_when_it_is_the_only_one(save):
    with open_frames(save(a=np.ones((4, 2, 3)), b=np.ones(4))) as source:
        assert source.shape == (4, 2, 3)


def test_several_stacks_must_be_chosen_from(save):
    path = save(a=np.ones((4, 2, 3)), b=np.ones((4, 2, 3)))
    with pytest.raises(FileFormatError, match=r"/group/b.*Name one"), open_frames(path):
        pass
    with open_frames(path, "/group/b") as source:
        assert len(source.parts) == 1


def test_file_without_a_stack_is_refused(save):
    with pytest.raises(FileFormatError, match="none"), open_frames(save(b=np.ones(4))):
        pass


@pytest.mark.parametrize("shape", [(0, 2, 3), (3, 0, 2)], ids=["no-frames", "no-rows"])
def test_empty_stack_is_refused(save, shape):
    with (
        pytest.raises(FileFormatError, match="no series of frames"),
        open_frames(save(a=np.ones(shape))),
    ):
        pass


def test_chosen_array_of_another_kind_is_refused(save):
    path = save(a=np.ones((4, 2)))
    with (
        pytest.raises(FileFormatError, match=r"shape \(4, 2\)"),
        open_frames(path, "/group/a"),
    ):
        pass
