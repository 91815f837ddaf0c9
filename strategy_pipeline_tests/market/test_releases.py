"""Release lags against publication dates that are on record."""

from __future__ import annotations

import pandas as pd
import pytest

from strategy_pipeline.market.sources.releases import RELEASES, available_at, macro_table, release_of


def known(series: str, stamp: str) -> pd.Timestamp:
    times = pd.Series(pd.to_datetime([stamp], utc=True))
    return available_at(times, release_of(series, times)).iloc[0]


# The agency's own date of first publication (time in UTC) of the value stamped so.
PUBLISHED = [
    ("CPIAUCSL", "2022-05-01", "2022-06-10 12:30"),
    ("CPIAUCSL", "2024-09-01", "2024-10-10 12:30"),
    ("PAYEMS", "2023-01-01", "2023-02-03 13:30"),
    ("UNRATE", "2024-06-01", "2024-07-05 12:30"),
    ("GDP", "2024-01-01", "2024-04-25 12:30"),
    ("GDPC1", "2022-04-01", "2022-07-28 12:30"),
    ("INDPRO", "2024-05-01", "2024-06-18 13:15"),
    ("RSXFS", "2024-05-01", "2024-06-18 12:30"),
    ("PCEPILFE", "2024-04-01", "2024-05-31 12:30"),
    ("ICSA", "2024-06-01", "2024-06-06 12:30"),
    ("WALCL", "2024-06-05", "2024-06-06 20:30"),
    ("DGS10", "2024-06-06", "2024-06-07 20:15"),
    ("DGS10", "2024-06-07", "2024-06-10 20:15"),
    ("VIXCLS", "2024-06-06", "2024-06-06 20:15"),
]


@pytest.mark.parametrize(("series", "stamp", "published"), PUBLISHED)
def test_no_value_is_available_before_its_agency_published_it(series, stamp, published):
    assert known(series, stamp) >= pd.Timestamp(published, tz="UTC")


@pytest.mark.parametrize(("series", "stamp", "published"), PUBLISHED)
def test_no_value_waits_longer_than_nine_days_after_publication(series, stamp, published):
    assert known(series, stamp) <= pd.Timestamp(published, tz="UTC") + pd.Timedelta(days=9)


def test_revised_series_are_marked():
    assert all(RELEASES[name].revised for name in ("GDP", "GDPC1", "PAYEMS", "ANFCI", "STLFSI4", "USREC", "CFNAI"))
    assert not any(RELEASES[name].revised for name in ("DGS10", "VIXCLS", "CPI_index_nsa", "FEDFUNDS", "SPX_close"))


def test_an_unknown_series_waits_by_its_spacing_and_counts_as_revised():
    frame = pd.DataFrame(
        {"ts": pd.date_range("2024-01-01", periods=4, freq="MS", tz="UTC"), "series": "MADE_UP", "value": 1.0, "source": "x"}
    )
    table = macro_table(frame)
    assert table["revised"].all()
    assert table["available_at"].iloc[0] == pd.Timestamp("2024-03-17", tz="UTC")


def test_every_series_of_the_real_folder_has_an_entry(real_data):
    series = set(pd.read_parquet(real_data / "macro.parquet", columns=["series"])["series"])
    assert series - set(RELEASES) == set()
