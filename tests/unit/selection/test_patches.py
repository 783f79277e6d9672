"""The search for the patch of a label."""

import numpy as np
import pytest

from ainerd_bluesky.selection.patches import Patches

GRID = np.stack(np.meshgrid(*2 * [np.linspace(0, 1, 21)]), axis=-1).reshape(-1, 2)
CENTRE = np.array([0.7, 0.3])
AWAY = np.linalg.norm(GRID - CENTRE, axis=1)


def answer(log_odds):
    p = 1 / (1 + np.exp(-log_odds))
    return np.array([1 - p, p])


def patches_after(indices, log_odds):
    patches = Patches(GRID, 2, share=0.01, crossover=0.05)
    for index in indices:
        patches.learn(index, answer(log_odds[index]))
    return patches.forecast()


def test_before_any_result_the_patch_may_be_anywhere():
    chance = patches_after([], None)
    inner = ((GRID > 0.1) & (GRID < 0.9)).all(axis=1)
    assert np.ptp(chance[inner, 1]) < 1e-12
    # 1 % of 441 places is in the patch, about.
    assert chance[inner, 1].mean() == pytest.approx(0.01, rel=0.3)


def test_log_odds_around_a_patch_lead_to_it(rng):
    share = 1 / (1 + np.exp((AWAY - 0.056) / 0.05))
    log_odds = -8 * (1 - 2 * share) + rng.standard_normal(len(GRID))
    far = np.flatnonzero(AWAY > 0.3)
    beside = np.flatnonzero((AWAY > 0.08) & (AWAY < 0.2))
    chance = patches_after([*far[::4], *beside[::2]], log_odds)
    assert np.linalg.norm(GRID[chance[:, 1].argmax()] - CENTRE) <= 0.11


def test_where_the_label_is_clearly_absent_the_patch_is_not(rng):
    left = np.flatnonzero(GRID[:, 0] < 0.5)
    chance = patches_after(left, -8 + rng.standard_normal(len(GRID)))[:, 1]
    assert chance[GRID[:, 0] < 0.4].sum() < 0.02 * chance.sum()


def test_one_wrong_label_does_not_settle_the_search():
    log_odds = np.full(len(GRID), -8.0)
    wrong = int(AWAY.argmin())
    log_odds[wrong] = 8.0
    around = np.flatnonzero((AWAY > 0.04) & (AWAY < 0.12))
    chance = patches_after([wrong, *around], log_odds)
    assert chance[wrong, 1] < 0.5


@pytest.mark.parametrize("n_axes", [0, 1, 3])
def test_any_number_of_axes_will_do(n_axes, rng):
    patches = Patches(rng.random((40, n_axes)), 3, share=0.05, crossover=0.05)
    patches.learn(0, np.array([0.8, 0.1, 0.1]))
    chance = patches.forecast()
    assert chance.shape == (40, 3)
    assert ((chance > 0) & (chance <= 1 + 1e-9)).all()
