"""Policies choose as they promise, and what they found is counted rightly."""

from dataclasses import replace

import numpy as np
import pytest

from ainerd_bluesky.bench.selection_campaigns import (
    MAX_REMEASURES,
    CampaignSettings,
    make_campaign,
)
from ainerd_bluesky.bench.selection_diagrams import DiagramSettings
from ainerd_bluesky.bench.selection_policies import (
    FarthestPolicy,
    GridPolicy,
    RandomPolicy,
    SelectorPolicy,
    grid_order,
)
from ainerd_bluesky.bench.selection_runs import discover, map_by_grid, map_errors
from ainerd_bluesky.selection import Coverage

N = 60


@pytest.fixture
def campaign(bank):
    settings = CampaignSettings(DiagramSettings(n_samples=N, bands=(0.0, 0.0)))
    drawn = make_campaign(settings, 1, bank)
    is_refused = np.zeros_like(drawn.is_refused)
    is_refused[0] = True
    is_refused[1, 0] = True
    return replace(drawn, is_refused=is_refused)


def scan_all(campaign, policy):
    order = []
    while (index := policy.choose()) is not None:
        policy.learn(index, campaign.scan(index, order.count(index)))
        order.append(index)
    return order


@pytest.mark.parametrize(
    "make",
    [
        lambda c: RandomPolicy(c, 0),
        lambda c: FarthestPolicy(c, 0),
        lambda c: GridPolicy(c, list(range(N))),
        lambda c: SelectorPolicy(c, Coverage(), 0),
    ],
    ids=["random", "farthest", "grid", "selector"],
)
def test_every_sample_is_scanned_and_refused_ones_again(campaign, make):
    order = scan_all(campaign, make(campaign))
    counts = np.bincount(order, minlength=N)
    assert counts[0] == 1 + MAX_REMEASURES
    assert counts[1] == 2
    assert (counts[2:] == 1).all()


def test_grid_goes_to_the_nearest_samples_row_by_row():
    points = np.array([[0.9, 0.9], [0.2, 0.3], [0.3, 0.8], [0.8, 0.1], [0.5, 0.5]])
    assert grid_order(points, 2) == [1, 2, 3, 0]


def test_farthest_crosses_the_plane(campaign):
    policy = FarthestPolicy(campaign, 0)
    first = policy.choose()
    policy.learn(first, campaign.scan(first, MAX_REMEASURES))
    away = np.linalg.norm(campaign.coordinates - campaign.coordinates[first], axis=1)
    assert policy.choose() == away.argmax()


def test_rare_is_found_when_its_scan_passes(campaign):
    rare = {kind: int(np.argmax(campaign.truth == kind)) for kind in campaign.rare}
    first, *others = rare.values()
    is_refused = np.zeros_like(campaign.is_refused)
    is_refused[first, 0] = True
    spoilt = replace(campaign, is_refused=is_refused)
    order = [first, *others]
    # refused, then found at the second try
    assert discover(spoilt, GridPolicy(spoilt, order)) == [2, 3, 4]


def test_what_is_never_found_counts_one_after_the_last(campaign):
    common = int(np.argmax(~np.isin(campaign.truth, campaign.rare)))
    quiet = replace(campaign, is_refused=np.zeros_like(campaign.is_refused))
    assert discover(quiet, GridPolicy(quiet, [common])) == [2, 2, 2]


@pytest.fixture
def diagram(bank):
    settings = CampaignSettings(
        DiagramSettings(n_samples=0, rare="none", bands=(0.0, 0.0))
    )
    drawn = make_campaign(settings, 1, bank)
    return replace(drawn, is_refused=np.zeros_like(drawn.is_refused))


def test_map_gets_better_with_scans(diagram):
    few, many = map_errors(diagram, RandomPolicy(diagram, 0), (20, 200))
    assert many < few / 2 < 0.25


def test_map_of_one_kind_is_right_at_once(bank):
    settings = CampaignSettings(
        DiagramSettings(n_samples=0, rare="none", phases="alike")
    )
    campaign = make_campaign(settings, 1, bank)
    assert map_errors(campaign, RandomPolicy(campaign, 0), (5, 10)).tolist() == [0, 0]


def test_policy_that_ends_keeps_its_last_error(diagram):
    errors = map_errors(diagram, GridPolicy(diagram, [0, 1, 2]), (2, 3, 10, 20))
    assert errors[1] == errors[2] == errors[3]


def test_grid_counts_its_scans(diagram):
    n_scans, error = map_by_grid(diagram, 10)
    assert n_scans == 100
    assert 0 < error < 0.15
