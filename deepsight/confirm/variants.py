"""Configs that differ from one of a search in a few values, and the runs that there are of them.

What a confirmation runs and what claims look for: no Ray, so that `analysis` may ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from deepsight.config import DEFAULTS, Value
from deepsight.confirm.record import FOLDER
from deepsight.files import make_folder
from deepsight.run_store import Study, TrialRecord, load_study
from deepsight.space import INACTIVE, Choice, Domain, Entry, Space, decide, same

SEED, SPLIT = "train.seed", "data.split_seed"
MOST_SEED = 2**31 - 1
ROUND = 1000
"""Fresh seeds begin at a multiple of this, above all seeds of the search."""

Config = Mapping[str, Entry]


def with_values(
    space: Space,
    fixed: Mapping[str, Value],
    config: Config,
    defaults: Config,
    values: Mapping[str, Entry],
) -> dict[str, Entry]:
    """`config` with some values, all else as it is.

    What is no longer active goes; what becomes active has its default. Of `values`, those are
    passed over that are not active beside the others.

    Args:
        space: Of the search.
        fixed: What its conditions may read besides.
        config: Values of the whole space.
        defaults: The search's first trial; empty where it was not of the defaults.
        values: By hyperparameter.
    """
    point: dict[str, Entry] = dict.fromkeys(space, INACTIVE)
    for name, domain, decided in decide(space, fixed):
        value = values[name] if name in values else config[name]
        if value is INACTIVE:
            value = default_of(defaults, name, domain)
        if isinstance(domain, Choice) and domain.contains(value):
            value = domain.values[domain.index(value)]
        decided[name] = point[name] = value
    return point


def default_of(defaults: Config, name: str, domain: Domain) -> Entry:
    """The default of one hyperparameter, also where the first trial has it inactive."""
    if defaults.get(name, INACTIVE) is not INACTIVE:
        return defaults[name]
    return DEFAULTS[name] if domain.contains(DEFAULTS.get(name, INACTIVE)) else domain.middle()


def first_fresh_seed(study: Study) -> int:
    """The first of the seeds that no trial of a search trained with: a round number."""
    stated = [study.fixed.get(SEED), study.header.seeds.get("study")]
    base = sum(value for value in stated if isinstance(value, int))
    used = [base + len(study.records)]
    used += [v for r in study.records if isinstance(v := r.config.get(SEED), int)]
    return (max(used) // ROUND + 1) * ROUND


def fresh_seeds(study: Study, count: int) -> list[int]:
    """Seeds that no trial of the search trained with: ``1000, 1001, ...``, from a round number on.

    Args:
        study: The search.
        count: How many; the first ones are the same for any count.
    """
    first = first_fresh_seed(study)
    return [(first + k) % MOST_SEED for k in range(count)]


def claim_seeds(study: Study, count: int) -> list[int]:
    """Seeds of runs that are planned for claims: none that a confirmation took before."""
    return fresh_seeds(study, ROUND + count)[ROUND:]


def load_done(directory: Path) -> Study | None:
    """The confirmation in `directory`; None before it began.

    Raises:
        UserError: If the directory is a link, or the confirmation cannot be read.
    """
    if directory.exists():
        make_folder(directory.parent, [directory.name])  # it is there: refused if it is a link
    return load_study(directory) if (directory / "study.json").exists() else None


def load_confirmed(search: Study) -> Study | None:
    """The confirmation of a search, as `load_done`."""
    return load_done(search.directory / FOLDER)


def same_config(a: Config, b: Config, names: Iterable[str]) -> bool:
    """Whether two configs have the same values of `names`."""
    return all(same(a[name], b[name]) for name in names)


def runs_of(search: Study, done: Study | None, config: Config) -> list[TrialRecord]:
    """The runs of a config in the confirmation of its search."""
    if done is None or not set(search.space) <= set(done.space):
        return []
    names = [name for name in search.space if name not in (SEED, SPLIT)]
    return [r for r in done.records if same_config(r.config, config, names)]
