from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.errors import StateVersionError
from strategy_pipeline.forecasting import Registry


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("registry")
    return f"sqlite:///{folder}/state/mlflow.db", folder / "artifacts"


@pytest.fixture(scope="module")
def registry(place):
    return Registry(*place)


def logged(registry, kind, cutoff, content, accepted=True, **more):
    return registry.log(kind, cutoff=cutoff, content=content, payload=content.encode(), accepted=accepted, **more)


def test_the_newest_is_the_accepted_model_whose_cutoff_is_not_after_the_day(registry):
    for cutoff, accepted in (("2024-03-01", True), ("2024-01-01", True), ("2024-02-01", False)):
        logged(registry, "newest", cutoff, f"c{cutoff}", accepted)
    assert registry.newest("newest", "2023-12-31") is None
    assert registry.newest("newest", "2024-02-15").cutoff == "2024-01-01"
    assert registry.newest("newest", np.datetime64("2024-03-01")).cutoff == "2024-03-01"
    assert registry.newest("never heard of", "2024-03-01") is None
    assert [model.cutoff for model in registry.versions("newest")] == ["2024-01-01", "2024-02-01", "2024-03-01"]


def test_logging_the_same_fit_again_gives_the_version_that_exists(registry):
    first = logged(registry, "again", "2024-01-01", "aaa", metrics={"qlike": 0.4, "bad": float("nan")}, params={"steps": 5})
    assert logged(registry, "again", "2024-01-01", "aaa") == first
    other = logged(registry, "again", "2024-01-01", "bbb")
    assert (first.version, other.version) == (1, 2)
    # Another training for the same cutoff replaces the earlier one.
    assert registry.newest("again", "2024-01-01").content == "bbb"
    assert registry.metrics(first) == {"qlike": 0.4}
    assert registry.payload(first) == b"aaa"


def test_aliases_mirror_the_newest_accepted_and_the_newest_challenger(registry):
    one = logged(registry, "alias", "2024-01-01", "a")
    assert (registry.alias("alias", "champion"), registry.alias("alias", "challenger")) == (one.version, None)
    two = logged(registry, "alias", "2024-02-01", "b", accepted=False)
    assert (registry.alias("alias", "champion"), registry.alias("alias", "challenger")) == (one.version, two.version)
    three = logged(registry, "alias", "2024-03-01", "c")
    assert (registry.alias("alias", "champion"), registry.alias("alias", "challenger")) == (three.version, None)
    # An older cutoff logged late moves nothing.
    logged(registry, "alias", "2023-06-01", "d")
    assert registry.alias("alias", "champion") == three.version


@pytest.mark.parametrize("killed_at", ["log_batch", "log_artifact", "create_model_version", "set_terminated", "set_model_version_tag"])
def test_a_logging_killed_half_way_is_taken_up_again(registry, place, monkeypatch, killed_at):
    kind = f"killed at {killed_at}"

    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(registry._client, killed_at, die)
        with pytest.raises(KeyboardInterrupt):
            logged(registry, kind, "2024-01-01", "x", metrics={"m": 1.0}, params={"p": 1})
    assert registry.newest(kind, "2024-01-01") is None
    fresh = Registry(*place)
    model = logged(fresh, kind, "2024-01-01", "x", metrics={"m": 1.0}, params={"p": 1})
    assert model.version == 1 and fresh.newest(kind, "2024-01-01") == model
    assert fresh.payload(model) == b"x" and fresh.alias(kind, "champion") == 1
    runs = fresh._client.search_runs([fresh._experiment], f"tags.fit = '{kind}/2024-01-01/x'")
    assert len(runs) == 1 and runs[0].info.status == "FINISHED"


def test_a_database_of_something_else_is_refused_with_the_remedy(tmp_path):
    broken = tmp_path / "mlflow.db"
    broken.write_bytes(b"this is no database, and long enough to be noticed as none" * 10)
    with pytest.raises(StateVersionError, match="move the database away"):
        Registry(f"sqlite:///{broken}")
