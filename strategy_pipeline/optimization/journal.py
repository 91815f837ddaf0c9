"""An Optuna study in a journal file that is the same whether or not it was killed on the way.

Trials are asked for and told in batches. The sampler is made anew for each batch from the seed, the study and
the batch's number, so it needs no memory of its own; and a study found with an unfinished batch is rebuilt
without that batch's trials before the search goes on. So what a batch proposes depends on the finished
batches alone.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from strategy_pipeline.rng import derive_seed

if TYPE_CHECKING:
    import optuna

BATCH = "batch"
Direction = Literal["minimize", "maximize"]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Optuna without its log lines; the verbosity is put back."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def open_storage(path: Path | None) -> Any:
    """The journal at `path`, None for memory. What a kill or a crash cut off or garbled at its end is removed: the next line would be
    glued to it."""
    import optuna

    if path is None:
        return optuna.storages.InMemoryStorage()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        content = path.read_bytes()
        whole = _whole_lines(content)
        if whole != len(content):
            with path.open("r+b") as file:
                file.truncate(whole)
    return optuna.storages.JournalStorage(_backend(path))


def _whole_lines(content: bytes) -> int:
    """How many bytes there are before the first line that is not a whole entry."""
    end = 0
    for line in content.split(b"\n")[:-1]:
        try:
            json.loads(line)
        except ValueError:
            break
        end += len(line) + 1
    return end


def _backend(path: Path) -> Any:
    """Optuna's file without its wait for the disk at every entry, nine a trial: `settle` waits once a batch, and an unfinished batch
    is thrown away anyhow. The lock dies with its process; Optuna's own are files, and after a kill they keep the next run waiting."""
    from filelock import FileLock
    from optuna.storages.journal import JournalFileBackend

    class Journal(JournalFileBackend):
        def __init__(self) -> None:
            super().__init__(str(path))
            self._turn = FileLock(f"{path}.lock")

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            entries = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
            with self._turn, path.open("ab") as file:
                file.write(entries.encode())

    return Journal()


def settle(path: Path | None) -> None:
    """Waits until what the journal holds is on the disk."""
    if path is not None:
        with path.open("rb") as file:
            os.fsync(file.fileno())


def finished_batches(study: optuna.Study, sizes: list[int]) -> int:
    """How many batches from the first on are complete: every trial of them asked for and told."""
    told: dict[int, int] = {}
    for trial in study.get_trials(deepcopy=False):
        if trial.state.is_finished() and BATCH in trial.user_attrs:
            told[trial.user_attrs[BATCH]] = told.get(trial.user_attrs[BATCH], 0) + 1
    done = 0
    while done < len(sizes) and told.get(done, 0) == sizes[done]:
        done += 1
    return done


def open_study(storage: Any, name: str, directions: list[Direction], sizes: list[int]) -> tuple[optuna.Study, int]:
    """The study without the trials of unfinished batches, and the number of the batch to go on with."""
    import optuna

    study = optuna.create_study(storage=storage, study_name=name, directions=directions, load_if_exists=True)
    done = finished_batches(study, sizes)
    trials = study.get_trials(deepcopy=True)
    kept = [trial for trial in trials if trial.user_attrs.get(BATCH, len(sizes)) < done and trial.state.is_finished()]
    if len(kept) == len(trials):
        return study, done
    # A kill between deleting and adding loses finished batches, never their result: they come out the same again.
    optuna.delete_study(study_name=name, storage=storage)
    study = optuna.create_study(storage=storage, study_name=name, directions=directions)
    study.add_trials(kept)
    return study, finished_batches(study, sizes)


SAMPLERS = ("tpe", "nsga2", "nsga3", "gp", "cmaes")


def sampler_of(name: str, seed: int, key: str, batch: int, batch_size: int) -> Any:
    """A fresh sampler for one batch, of `SAMPLERS`; ``cmaes`` proposes without one (`cma.proposals`), what it is given is random."""
    import optuna

    number = derive_seed(seed, "optimization", key, batch) % 2**32
    started = min(2 * batch_size, 20)
    if name in ("nsga2", "nsga3"):
        return _breeding(name, seed, key, number, max(batch_size, 2))
    if name == "gp":
        return optuna.samplers.GPSampler(n_startup_trials=started, deterministic_objective=True, seed=number)
    if name == "cmaes":
        return optuna.samplers.RandomSampler(seed=number)
    # Two batches at random before the model has a say; `constant_liar` keeps a batch from proposing one point many times.
    return optuna.samplers.TPESampler(n_startup_trials=started, multivariate=True, constant_liar=True, seed=number)


def _breeding(name: str, seed: int, key: str, number: int, size: int) -> Any:
    """NSGA-II or NSGA-III whose parents of a generation are the same whenever they are asked for.

    Optuna chooses them once, with the numbers of the batch that needs them first, and notes them beside the trials; a study rebuilt
    after a kill has lost that note, and would choose others with the numbers of a later batch.
    """
    import optuna

    kind: Any = optuna.samplers.NSGAIISampler if name == "nsga2" else optuna.samplers.NSGAIIISampler

    class Breeding(kind):  # type: ignore[misc]
        def select_parent(self, study: optuna.Study, generation: int) -> list[optuna.trial.FrozenTrial]:
            drawn_from = derive_seed(seed, "parents", key, generation) % 2**32
            chosen = kind.select_parent(Breeding(population_size=size, seed=drawn_from), study, generation)
            return sorted(chosen, key=lambda trial: trial.number)

    return Breeding(population_size=size, seed=number)


def recall(study: optuna.Study, sampler: Any) -> None:
    """Choose again, in their order, the parents whose note a rebuilt study has lost: asked for at once, the last would wait for all
    before it, one within another, deeper than Python goes."""
    if not hasattr(sampler, "get_parent_population"):
        return
    generations = [
        value for trial in study.get_trials(deepcopy=False) for key, value in trial.system_attrs.items() if key.endswith(":generation")
    ]
    for generation in range(1, max(generations, default=0) + 1):
        sampler.get_parent_population(study, generation)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra and torch on one thread: the sums of several depend on how many there are. The numbers are put back."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(before)
