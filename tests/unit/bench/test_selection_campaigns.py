"""Simulated campaigns hold what they promise."""

import numpy as np
import pytest

from ainerd_bluesky.bench.selection_answers import (
    KINDS,
    SHARES,
    PairJob,
    answer_pair,
    bank_of,
    pair_jobs,
)
from ainerd_bluesky.bench.selection_campaigns import CampaignSettings, make_campaign
from ainerd_bluesky.bench.selection_diagrams import (
    DiagramSettings,
    draw_diagram,
    simplex_shares,
)
from ainerd_bluesky.vocabulary import DYNAMICS, Label


def draw(seed=3, **settings):
    return draw_diagram(DiagramSettings(**settings), np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("distance", "shares"),
    [
        ([0.1, 0.1], [0.5, 0.5]),
        ([0.1, 0.2], [0.75, 0.25]),
        ([0.1, 0.4], [1.0, 0.0]),
        ([0.3, 0.3, 0.3], [1 / 3, 1 / 3, 1 / 3]),
    ],
    ids=["boundary", "half way", "outside", "triple point"],
)
def test_phases_coexist_by_the_lever_rule(distance, shares):
    got = simplex_shares(np.array([distance]), 0.2)
    np.testing.assert_allclose(got, [shares], atol=1e-12)


@pytest.mark.parametrize("rare", ["anywhere", "meeting", "far", "corner"])
@pytest.mark.parametrize("n_samples", [200, 1000])
def test_rare_kinds_hold_one_percent_of_the_samples(rare, n_samples):
    diagram = draw(n_samples=n_samples, rare=rare)
    counts = np.bincount(diagram.truth, minlength=len(KINDS))
    assert len(diagram.rare) == 3
    assert counts[list(diagram.rare)].tolist() == [n_samples / 100] * 3
    assert np.delete(counts, diagram.rare).min() >= 0.08 * n_samples
    np.testing.assert_allclose(diagram.shares.sum(axis=1), 1)


def test_conditions_are_a_grid_without_rare_kinds():
    diagram = draw(n_samples=0, rare="none")
    assert diagram.points.shape == (900, 2)
    assert diagram.rare == ()
    assert len(set(diagram.truth.tolist())) == 5


def test_rare_kinds_in_corners_are_there():
    diagram = draw(rare="corner", bands=(0.0, 0.0))
    for kind in diagram.rare:
        middle = diagram.points[diagram.truth == kind].mean(axis=0)
        assert np.abs(middle - middle.round()).max() < 0.2


def test_without_bands_every_sample_is_pure():
    diagram = draw(bands=(0.0, 0.0))
    assert np.mean(diagram.shares.max(axis=1) > 1 - 1e-9) > 0.99


def test_where_all_are_alike_only_rare_ones_differ():
    diagram = draw(phases="alike")
    assert len(set(diagram.truth.tolist())) == 4


def test_seed_makes_the_campaign(bank):
    one, same, other = (
        make_campaign(CampaignSettings(), seed, bank) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.probabilities, same.probabilities)
    np.testing.assert_array_equal(one.is_refused, same.is_refused)
    assert not np.array_equal(one.coordinates, other.coordinates)


def test_gate_refuses_eight_percent(bank):
    settings = CampaignSettings(DiagramSettings(n_samples=5000))
    campaign = make_campaign(settings, 1, bank)
    assert campaign.is_refused.mean() == pytest.approx(0.08, abs=0.01)


def test_refused_region_spares_the_rare(bank):
    settings = CampaignSettings(
        DiagramSettings(n_samples=5000), has_refused_region=True
    )
    campaign = make_campaign(settings, 1, bank)
    is_rare = np.isin(campaign.truth, campaign.rare)
    assert campaign.is_refused.mean() > 0.13
    assert campaign.is_refused[is_rare].mean() < 0.15


def test_shuffling_deals_coordinates_anew(bank):
    plain, shuffled = (
        make_campaign(CampaignSettings(is_shuffled=value), 1, bank)
        for value in (False, True)
    )
    np.testing.assert_array_equal(plain.truth, shuffled.truth)
    np.testing.assert_array_equal(
        np.sort(plain.coordinates, axis=0), np.sort(shuffled.coordinates, axis=0)
    )
    assert not np.array_equal(plain.coordinates, shuffled.coordinates)


def test_wrong_labels_are_confident_and_of_any_kind(bank):
    campaign = make_campaign(CampaignSettings(wrong=1.0), 1, bank)
    named = campaign.probabilities.argmax(axis=-1)
    assert campaign.probabilities.max(axis=-1).min() == pytest.approx(0.95)
    assert np.mean(named[:, 0] == campaign.truth) == pytest.approx(1 / 8, abs=0.06)


def test_commonest_kind_is_mistaken_for_a_rare_one(bank):
    campaign = make_campaign(CampaignSettings(mistaken=1.0), 1, bank)
    victim = np.bincount(campaign.truth).argmax()
    named = campaign.probabilities.argmax(axis=-1)
    assert (named[campaign.truth == victim] == campaign.rare[0]).all()


def test_scan_says_what_the_classifier_said(bank):
    settings = CampaignSettings(DiagramSettings(bands=(0.0, 0.0)))
    campaign = make_campaign(settings, 1, bank)
    index = int(np.flatnonzero(~campaign.is_refused[:, 0])[0])
    refused = int(np.flatnonzero(campaign.is_refused[:, 0])[0])
    assert campaign.scan(index, 0).label == KINDS[campaign.truth[index]]
    assert sum(campaign.scan(index, 0).probabilities.values()) == pytest.approx(1)
    assert campaign.scan(refused, 0).label == Label.INVALID


@pytest.mark.parametrize(("share", "columns"), [(0.0, {0}), (0.16, {1, 2}), (0.5, {5})])
def test_answers_are_drawn_from_the_nearest_shares(bank, share, columns):
    kinds = np.zeros(200, int)
    places = bank.places(
        kinds, kinds + 4, np.full(200, share), np.random.default_rng(0)
    )
    assert set(places[2].tolist()) == columns
    assert not (places[0] == places[1]).any()


def test_hits_are_counted_by_share(bank):
    assert bank.hits()["0"] == 1.0
    assert set(bank.hits()) == {"0", "0.1", "0.2", "0.3", "0.4", "0.5"}


def test_every_ordered_pair_is_asked_once():
    pairs = {(job.first, job.second) for job in pair_jobs(1)}
    assert len(pairs) == len(KINDS) * (len(KINDS) - 1)


def test_shipped_classifier_answers():
    pytest.importorskip("torch")
    job = PairJob(KINDS.index(Label.STATIC), KINDS.index(Label.OSCILLATORY), 2)
    answers = answer_pair(job)
    filled = bank_of({(job.first, job.second): answers})
    assert answers[0].shape == (len(SHARES), 2, len(DYNAMICS))
    np.testing.assert_allclose(answers[0].sum(axis=-1), 1, atol=1e-4)
    assert (answers[0][0].argmax(axis=-1) == job.first).all()
    np.testing.assert_array_equal(
        filled.probabilities[job.first, job.second], answers[0]
    )
    assert filled.is_refused[job.second, job.first].all()
