"""Intervals and tests: against worked examples in print, against brute force, and by the properties they must have."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from layerwise.analysis import stats

counts = st.integers(0, 60)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_newcombes_table(successes, n, low, high):
    """Newcombe (1998), Statistics in Medicine 17:857, table I, method 3."""
    interval = stats.wilson(successes / n, n)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


@given(st.integers(1, 200), st.data())
def test_wilson_holds_its_share_and_narrows_with_n(n, data):
    share = data.draw(st.integers(0, n)) / n
    interval, larger = stats.wilson(share, n), stats.wilson(share, 4 * n)
    assert 0 <= interval.low <= share <= interval.high <= 1
    assert larger.high - larger.low < interval.high - interval.low


def test_paired_difference_gives_a_published_example():
    """Response before and after consolidation (Cavo et al. 2012), in Fagerland, Lydersen & Laake (2017), ch. 8."""
    interval = stats.paired_difference(59, 6, 16, 161)
    assert [round(float(part), 4) for part in interval] == [-0.0621, -0.1186, -0.0046]


@given(counts, counts, counts, counts)
def test_paired_difference_is_antisymmetric_and_inside_its_range(both, first, second, neither):
    n = both + first + second + neither
    if n == 0:
        return
    one, other = stats.paired_difference(both, first, second, n), stats.paired_difference(both, second, first, n)
    assert -1 <= one.low <= one.value + 1e-12 and one.value - 1e-12 <= one.high <= 1
    assert np.allclose([one.value, one.low, one.high], [-other.value, -other.high, -other.low])
    assert one.high - one.low > 0, "no finite sample proves a difference exactly"


def test_paired_difference_covers_the_truth():
    random = np.random.default_rng(1)
    chances = np.array([0.5, 0.2, 0.05, 0.25])
    tables = random.multinomial(80, chances, size=2000).T
    interval = stats.paired_difference(tables[0], tables[1], tables[2], 80)
    assert 0.93 < ((interval.low <= 0.15) & (0.15 <= interval.high)).mean() < 0.98


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_exact_test_where_clusters_hold_one_prompt(b, c):
    differences = np.repeat([1, -1, 0], [b, c, 7])
    assert stats.mcnemar(differences) == pytest.approx(min(1.0, mcnemar([[0, b], [c, 0]], exact=True).pvalue))


@given(st.lists(st.integers(-4, 4), max_size=8))
def test_mcnemar_flips_whole_clusters(differences):
    observed = abs(sum(differences))
    flips = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product([1, -1], repeat=len(differences))
    ]
    assert stats.mcnemar(np.array(differences, int)) == pytest.approx(np.mean([flip >= observed for flip in flips]))


def test_first_step_of_holm_over_24_layers_needs_18_to_2_pairs():
    others = np.ones(23)
    adjusted = [
        stats.holm(np.append(others, stats.mcnemar(np.repeat([1, -1], pairs))))[-1] for pairs in ([17, 3], [18, 2])
    ]
    assert adjusted[0] > 0.05 > adjusted[1]


@given(st.lists(st.floats(0, 1), max_size=12), st.randoms())
def test_holm_keeps_the_order_and_only_raises(p, random):
    adjusted = stats.holm(np.array(p))
    assert np.all(adjusted >= p) and np.all(adjusted <= 1)
    assert np.all(np.diff(adjusted[np.argsort(p)]) >= 0)
    shuffled = random.sample(range(len(p)), len(p))
    assert np.array_equal(stats.holm(np.array(p)[shuffled]), adjusted[shuffled])


@pytest.mark.parametrize("size", [1, 2, 9, 24])
def test_holm_is_statsmodels_holm(size):
    p = np.random.default_rng(size).random(size) ** 4
    assert np.allclose(stats.holm(p), multipletests(p, method="holm")[1])


def test_holm_gives_a_worked_example():
    assert np.allclose(stats.holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])


def test_effective_size_is_the_number_of_prompts_where_none_repeat():
    values = np.repeat([1.0, 0.0], [30, 70])[:, None]
    assert stats.effective_size(values, np.ones_like(values), values.sum(0)) == pytest.approx([100])


def test_effective_size_of_clusters_that_agree_within_is_about_their_number():
    totals = np.repeat([10.0, 0.0], [4, 6])[:, None]
    sizes = np.full_like(totals, 10)
    assert stats.effective_size(totals, sizes, totals.sum(0)) == pytest.approx([100 * 9 / 99])
    assert stats.effective_size(sizes, sizes, sizes.sum(0)) == pytest.approx([10]), "all refused: ten clusters, no more"


def test_cluster_mean_is_scipys_percentile_bootstrap():
    random = np.random.default_rng(2)
    sizes = random.integers(1, 5, size=60).astype(float)
    totals = random.binomial(sizes.astype(int), 0.3).astype(float)
    ours = stats.cluster_mean(totals[:, None], sizes[:, None])
    theirs = bootstrap(
        (totals, sizes),
        lambda t, n, axis: t.sum(axis) / n.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        method="percentile",
        rng=0,
    ).confidence_interval
    assert ours.value == pytest.approx(totals.sum() / sizes.sum())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.006)


def test_cluster_mean_covers_the_truth_and_does_not_take_prompts_for_clusters():
    """40 behaviours, 5 images each, of which a behaviour's all come out alike: worth 40 prompts, not 200."""
    random = np.random.default_rng(3)
    found = [stats.cluster_mean(5.0 * (random.random((40, 1)) < 0.4), np.full((40, 1), 5.0)) for _ in range(400)]
    assert 0.90 < np.mean([low <= 0.4 <= high for _, low, high in found]) < 0.98


def test_cluster_mean_averages_layers_not_rows():
    totals, sizes = np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([[2.0, 1.0], [2.0, 1.0]])
    assert stats.cluster_mean(totals, sizes).value == pytest.approx((0.5 + 1.0) / 2)
    assert stats.cluster_mean(np.hstack([totals, 0 * totals[:, :1]]), np.hstack([sizes, 0 * sizes[:, :1]])).value == (
        pytest.approx(0.75)
    ), "a layer without rows is left out"


def test_cluster_mean_of_equal_values_is_not_certain():
    everything = np.ones((20, 3))
    value, low, high = stats.cluster_mean(everything, everything)
    assert (value, high) == (1.0, 1.0)
    assert low == pytest.approx(stats.wilson(1.0, 20).low)


def test_bootstrap_is_seeded():
    totals, sizes = np.arange(12.0).reshape(6, 2) / 12, np.ones((6, 2))
    first = stats.bootstrap_means(totals, sizes)
    stats.resamples.cache_clear()
    assert np.array_equal(first, stats.bootstrap_means(totals, sizes))
    assert len(first) == stats.RESAMPLES == 2000


def test_kappa_gives_a_worked_example():
    """50 grant proposals, 20 accepted by both readers, 15 by neither, 5 and 10 by one alone: 0.4."""
    first = np.repeat(["yes", "yes", "no", "no"], [20, 5, 10, 15])
    second = np.repeat(["yes", "no", "yes", "no"], [20, 5, 10, 15])
    value, low, high = stats.kappa(first, second)
    assert value == pytest.approx(0.4)
    assert low < value < high
    assert all(np.isnan(part) for part in stats.kappa(first[:20], second[:20]))


@pytest.mark.parametrize("times", [0, 1, 10, 19])
def test_kappa_of_a_judge_that_always_says_the_same_has_no_interval(times):
    constant, other = np.repeat(["yes"], 20), np.repeat(["yes", "no"], [times, 20 - times])
    with warnings.catch_warnings(action="error"):
        value, low, high = stats.kappa(constant, other)
    assert value == 0 and np.isnan(low) and np.isnan(high)


@given(st.lists(st.integers(0, 5), min_size=2, max_size=30), st.lists(st.integers(0, 5), min_size=2, max_size=30))
def test_auc_is_the_share_of_pairs_in_order(above, below):
    scores, positive = np.array(above + below, float), np.repeat([True, False], [len(above), len(below)])
    pairs = [(a > b) + (a == b) / 2 for a in above for b in below]
    value, low, high = stats.auc(scores, positive)
    assert value == pytest.approx(np.mean(pairs))
    assert 0 <= low <= value + 1e-12 and value - 1e-12 <= high <= 1
    mirrored = stats.auc(-scores, positive)
    assert (mirrored.value, mirrored.low, mirrored.high) == pytest.approx((1 - value, 1 - high, 1 - low))


def test_auc_covers_the_truth():
    """Two normal distributions one standard deviation apart have AUC Φ(1/√2) = 0.760."""
    random = np.random.default_rng(4)
    positive = np.repeat([True, False], 60)
    found = [stats.auc(random.normal(size=120) + positive, positive) for _ in range(500)]
    assert 0.92 < np.mean([low <= 0.7602 <= high for _, low, high in found]) < 0.98


def test_auc_of_sides_apart_is_not_certain():
    value, low, high = stats.auc(np.arange(100.0), np.arange(100) >= 50)
    assert value == high == 1.0
    assert 0.9 < low < 1.0


@pytest.mark.parametrize("clusters", [1, 2, 9])
def test_a_mean_over_few_clusters_has_wilsons_interval(clusters):
    values = np.random.default_rng(3).uniform(size=(clusters, 1))
    value, low, high = stats.cluster_mean(values, np.ones_like(values))
    assert (value, low, high) == pytest.approx(stats.wilson(values.mean(), clusters))


def test_clusters_without_a_value_do_not_count():
    values = np.random.default_rng(3).uniform(size=(30, 2))
    counts = np.ones_like(values)
    counts[20:] = 0
    found = stats.cluster_mean(values * counts, counts)
    assert found == stats.cluster_mean(values[:20], counts[:20])
    assert found.low < found.value < found.high


@pytest.mark.parametrize(("positive", "limits"), [([1, 1, 1], False), ([0, 0, 0], False), ([1, 0, 0], True)])
def test_an_auc_of_few_scores_has_limits_or_none_at_all(positive, limits):
    found = stats.auc(np.array([0.1, 0.5, 0.9]), np.array(positive, bool))
    assert np.isfinite(found).all() == limits and np.isnan(found).all() != limits
