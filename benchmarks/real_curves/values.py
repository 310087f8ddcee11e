"""How well the configs of a table do by the values of each hyperparameter.

    python -m benchmarks.real_curves.values cnn_objects [--where model.batch_norm=true ...]

For every value, or sixth of the configs by a numeric one: configs, median and ninth decile of the
accuracy at the full budget: what a space may leave out. ``--where`` keeps the configs that have a
value.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.real_curves.table import Table, load_table, table_names
from deepsight.config import Value
from deepsight.space import INACTIVE, Choice, Domain, Int, same

PARTS = 6
"""Of a numeric hyperparameter, with equally many configs each."""


@dataclass(frozen=True)
class Group:
    """The configs with one value, or within one range of values."""

    what: str
    configs: int
    median: float
    ninth_decile: float


def groups(table: Table, name: str, where: Mapping[str, Value] | None = None) -> list[Group]:
    """The groups of one hyperparameter, in the order of its values; inactive ones are left out."""
    kept = [
        (config[name], final)
        for config, final in zip(table.configs, table.finals, strict=True)
        if config[name] is not INACTIVE
        and all(same(config[key], value) for key, value in (where or {}).items())
    ]
    finals = np.array([final for _, final in kept])
    return [
        Group(what, int(inside.sum()), *map(float, np.quantile(finals[inside], (0.5, 0.9))))
        for what, inside in _masks(table.space[name], [value for value, _ in kept])
        if inside.any()
    ]


def _masks(domain: Domain, values: Sequence[Any]) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    """What each group is, and which of `values` are in it."""
    if isinstance(domain, Choice | Int) and len(set(values)) <= PARTS:
        each = domain.values if isinstance(domain, Choice) else sorted(set(values))
        return [(str(one), np.array([same(one, v) for v in values])) for one in each]
    numbers = np.array(values, dtype=float)
    edges = np.quantile(numbers, np.linspace(0, 1, PARTS + 1)) if len(numbers) else np.zeros(1)
    places = np.searchsorted(edges[1:-1], numbers, side="right")
    ranges = zip(edges[:-1], edges[1:], strict=True)
    return [(f"{low:.3g} to {high:.3g}", places == i) for i, (low, high) in enumerate(ranges)]


def main() -> None:
    """Print the groups of every hyperparameter."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("table", choices=table_names())
    parser.add_argument("--where", action="append", default=[], metavar="NAME=VALUE")
    args = parser.parse_args()
    table = load_table(args.table)
    where = {}
    for text in args.where:
        name, _, value = text.partition("=")
        if name not in table.space:
            parser.error(f"{name} is not searched in {args.table}: {', '.join(table.space)}")
        try:
            where[name] = json.loads(value)
        except json.JSONDecodeError:
            where[name] = value
    for name in table.space:
        print(name)
        for group in groups(table, name, where):
            print(
                f"  {group.what:24} {group.configs:5} configs, median {group.median:.3f}, "
                f"ninth decile {group.ninth_decile:.3f}"
            )


if __name__ == "__main__":
    main()
