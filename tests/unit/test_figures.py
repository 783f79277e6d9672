"""Pictures: of the right size, and of the right thing."""

import io

import numpy as np
import pytest

from ainerd_bluesky.errors import TwoTimeError

pytest.importorskip("matplotlib")
from matplotlib.image import imread

from ainerd_bluesky.figures import draw_two_time, draw_two_time_gallery


def two_time_map(n_frames=64):
    frame = np.arange(n_frames)
    return 1 + 0.3 * np.exp(-np.abs(frame[:, None] - frame) / 8)


@pytest.mark.parametrize("n_frames", [32, 1500], ids=["small", "averaged"])
def test_map_is_drawn_as_png(n_frames):
    picture = imread(io.BytesIO(draw_two_time(two_time_map(n_frames), title="aging")))
    assert picture.shape[:2] == (480, 552)
    # Diagonal and corner of the map have colours of their own.
    assert not np.allclose(picture[240, 220], picture[400, 120])


@pytest.mark.parametrize("value", [np.nan, 1.0], ids=["nan", "constant"])
def test_map_without_contrast_can_be_drawn(value):
    assert draw_two_time(np.full((32, 32), value), frame_time=0.01)


def test_array_that_is_no_map_is_refused():
    with pytest.raises(TwoTimeError, match=r"\(3, 4\)"):
        draw_two_time(np.ones((3, 4)))


def test_gallery_has_a_panel_for_each_map(tmp_path):
    maps = [two_time_map(), two_time_map(40), np.empty((0, 0))]
    draw_two_time_gallery(maps, ["a", "b", "none"], tmp_path / "g.png", n_columns=2)
    height, width = imread(tmp_path / "g.png").shape[:2]
    assert (height, width) == (660, 576)
