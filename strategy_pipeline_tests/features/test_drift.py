"""Drift of windows and dissimilarity of rows: against plain definitions, and on rows that are and are not like training."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats as st

from strategy_pipeline.errors import MissingInputError, NoDataError
from strategy_pipeline.features import DissimilarityGate, DriftReference, DriftReport
from strategy_pipeline.features.drift import ks, psi
from strategy_pipeline.features.gate import nearest
from strategy_pipeline_tests.features.test_scaling import matrix

CUTOFF = "2024-01-26"  # the close of row 599


def values(seed: int = 0) -> np.ndarray:
    """Two symbols, 1000 hours, six features: after row 600 the second is shifted, the third silent, the fourth wider."""
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((2, 1000, 6)).astype(np.float32)
    x[:, 600:, 1] += 1.0
    x[:, 600:, 2] = np.nan
    x[:, 600:, 3] *= 3.0
    x[:, :, 5] = 2.0
    return x


def test_psi_is_its_definition():
    draw = np.random.default_rng(1)
    one, other = draw.normal(0, 1, 5000), draw.normal(0.5, 1, 4000)
    edges = np.quantile(one, np.linspace(0, 1, 11)[1:-1])
    p = (np.histogram(one, [-np.inf, *edges, np.inf])[0] + 0.5) / 5005
    q = (np.histogram(other, [-np.inf, *edges, np.inf])[0] + 0.5) / 4005
    assert psi(one, other) == pytest.approx(sum((q - p) * np.log(q / p)), rel=1e-3)
    # For a shift of m deviations the index tends to m squared (the symmetric Kullback-Leibler divergence).
    assert psi(one, other, 50) == pytest.approx(0.25, abs=0.05) and psi(one, one) == pytest.approx(0, abs=1e-12)
    assert np.isnan(psi(np.ones(50), other)) and np.isnan(psi(one, other[:5]))


def test_ks_is_scipys():
    draw = np.random.default_rng(2)
    for n, m in ((50, 70), (500, 31)):
        one, other = draw.normal(size=n).round(1), draw.normal(0.3, 1, m).round(1)
        assert ks(one, np.append(other, np.nan)) == pytest.approx(st.ks_2samp(one, other).statistic, abs=1e-12)
    assert np.isnan(ks(np.array([]), np.ones(3)))


def test_what_changed_is_found_and_what_did_not_is_not():
    report = DriftReport.between(matrix(values()), CUTOFF)
    assert set(report.drifted) == {"f1", "f2", "f3"} and report.recent_rows == 800 and report.reference_rows == 1200
    table = report.table.set_index("feature")
    assert table.loc["f0", "psi"] < 0.1 and table.loc["f1", "psi"] > 0.25 and table.loc["f2", "missing_more"] == 1
    assert np.isnan(table.loc["f5", "psi"]) and report.share == pytest.approx(3 / 5)
    assert report.summary.startswith("3 of 6 features drifted")


def test_a_reference_sees_nothing_after_its_cutoff_and_comes_back_from_its_state():
    given = matrix(values())
    changed = values()
    changed[:, 600:] = 99.0
    one, other = DriftReference.fit(given, CUTOFF), DriftReference.fit(matrix(changed), CUTOFF)
    np.testing.assert_array_equal(one.quantiles, other.quantiles)
    again = DriftReference.restore(one.state())
    assert again.compare(given, CUTOFF).table.equals(one.compare(given, CUTOFF).table)
    with pytest.raises(NoDataError, match="50"):
        one.compare(given, "2024-02-11T10:00")
    with pytest.raises(MissingInputError):
        one.compare(matrix(values()[:, :, :4]), CUTOFF)
    with pytest.raises(NoDataError):
        DriftReference.fit(given, "2023-01-01")


def test_distances_to_neighbours_are_the_plain_ones():
    draw = np.random.default_rng(3)
    rows, sample = draw.normal(size=(7, 5)), draw.normal(size=(40, 5))
    rows[0, 1], sample[3, 2], sample[5, :] = np.nan, np.nan, np.nan
    got = nearest(rows, sample, 3)
    for row, distance in zip(rows, got, strict=True):
        plain = []
        for other in sample:
            both = np.isfinite(row) & np.isfinite(other)
            if both.sum() >= 0.5 * np.isfinite(row).sum():
                plain.append(np.sqrt(np.mean((row[both] - other[both]) ** 2)))
        assert distance == pytest.approx(np.mean(sorted(plain)[:3]), rel=1e-9)


def test_the_gate_accepts_what_is_like_training_and_refuses_what_is_not():
    calm = np.random.default_rng(4).standard_normal((2, 1000, 6)).astype(np.float32)
    gate = DissimilarityGate.fit(matrix(calm), CUTOFF, seed=0, sample=800)
    later = matrix(calm).between(CUTOFF)
    share = gate.accept(later).mean()
    assert 0.97 <= share <= 1.0  # threshold at the 99th percentile of held-out rows
    assert 0.8 < np.median(gate.score(later)) < 1.2
    strange = later.values.copy()
    strange[:, :10] += 6.0
    strange[:, 10:20, :4] = np.nan
    verdict = gate.accept(matrix(strange))
    assert not verdict[:, :20].any() and np.isnan(gate.score(matrix(strange))[:, 10:20]).all()
    np.testing.assert_array_equal(verdict[:, 20:], gate.accept(later)[:, 20:])


def test_a_gate_is_the_same_for_the_same_seed_sees_no_later_row_and_comes_back():
    given = matrix(values())
    changed = values()
    changed[:, 600:] = 1e3
    one = DissimilarityGate.fit(given, CUTOFF, seed=1, sample=500)
    other = DissimilarityGate.fit(matrix(changed), CUTOFF, seed=1, sample=500)
    np.testing.assert_array_equal(one.sample, other.sample)
    assert one.threshold == other.threshold
    again = DissimilarityGate.restore(one.state())
    np.testing.assert_array_equal(one.score(given), again.score(given))
    assert DissimilarityGate.fit(given, CUTOFF, seed=2, sample=500).threshold != one.threshold
    # A row is judged alone: the same in any company.
    np.testing.assert_allclose(one.score(given.between("2024-02-01")), one.score(given)[:, 744:], rtol=1e-9)


def test_too_little_to_learn_from_is_told():
    with pytest.raises(NoDataError, match="200"):
        DissimilarityGate.fit(matrix(values()[:, :60]), "2024-01-10", seed=0)
    unknown = np.full((1, 400, 3), np.nan, dtype=np.float32)
    with pytest.raises(NoDataError):
        DissimilarityGate.fit(matrix(unknown), "2024-03-01", seed=0)
    gate = DissimilarityGate.fit(matrix(values()), CUTOFF, seed=0)
    with pytest.raises(MissingInputError):
        gate.score(matrix(values()[:, :, :3]))
