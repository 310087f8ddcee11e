"""A table of real learning curves, as it is stored and as it is read.

One gzipped JSON file a table in `DATA`: the space, the configs, the score after every epoch, the
seconds of one core that it took, and for the first configs the same on further seeds. A curve that
is shorter than the full budget belongs to a training that broke down.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepsight.config import Value
from deepsight.space import Domain, Entry, from_json, from_stored, to_json, to_stored
from deepsight.tune.search.encoding import Encoder

DATA = Path(__file__).with_name("data")
METRIC = "val_accuracy"
"""What the scores of all tables are."""

Curve = tuple[float, ...]


@dataclass(frozen=True)
class Table:
    """Configs of one space, each trained to the full budget."""

    name: str
    what: str
    space: Mapping[str, Domain]
    fixed: Mapping[str, Value]
    epochs: int
    """The full budget."""
    design: int
    """The first so many configs are what search and analysis were designed on; 0: none are."""
    configs: Sequence[Mapping[str, Entry]]
    """Drawn uniformly from `space`; `INACTIVE` where inactive."""
    scores: Sequence[Curve]
    """Validation accuracy after every epoch, of one seed."""
    seconds: Sequence[Curve]
    repeats: Mapping[int, Sequence[Curve]]
    """Scores of some configs on further seeds."""

    def part(self, which: str) -> Table:
        """The configs to ``design`` on, or the ``final`` ones that nobody looked at.

        Raises:
            ValueError: If there is nothing to design on.
        """
        if which == "all":
            return self
        if which not in ("design", "final") or (which == "design" and not self.design):
            raise ValueError(f"{self.name} has no part {which!r}")
        inside = slice(self.design) if which == "design" else slice(self.design, None)
        numbers = range(len(self.configs))[inside]
        return dataclasses.replace(
            self,
            configs=self.configs[inside],
            scores=self.scores[inside],
            seconds=self.seconds[inside],
            repeats={numbers.index(k): v for k, v in self.repeats.items() if k in numbers},
        )

    @cached_property
    def finals(self) -> npt.NDArray[np.float64]:
        """The score at the full budget, (n,); the table's worst where the training broke down."""
        worst = min(score for curve in self.scores for score in curve)
        ends = [c[-1] if len(c) == self.epochs else worst for c in self.scores]
        return np.array(ends)

    @cached_property
    def encoder(self) -> Encoder:
        """Configs as rows, in which distances are measured."""
        return Encoder(self.space, self.fixed)

    @cached_property
    def rows(self) -> npt.NDArray[np.float64]:
        """The configs as rows."""
        return np.asarray(self.encoder.encode(self.configs))

    def noise(self) -> float:
        """Standard deviation of a final score over seeds, from the repeated configs."""
        ends = [
            [self.finals[number], *(c[-1] for c in curves if len(c) == self.epochs)]
            for number, curves in self.repeats.items()
        ]
        return float(np.sqrt(np.mean([np.var(e, ddof=1) for e in ends if len(e) > 1])))


def pack(
    name: str,
    recipe: Any,
    configs: Sequence[Mapping[str, Entry]],
    rows: Sequence[Mapping[str, Any]],
) -> Path:
    """Write a table.

    Args:
        name: The table's.
        recipe: A `benchmarks.real_curves.recipes.Recipe`.
        configs: All of them.
        rows: ``number, seed, scores, seconds`` of every training.

    Returns:
        The file.
    """
    first = {row["number"]: row for row in rows if row["seed"] == 0}
    repeats: dict[int, list[Any]] = {}
    for row in rows:
        if row["seed"]:
            repeats.setdefault(row["number"], []).append(row["scores"])
    numbers = range(len(configs))
    stored = {
        "name": name,
        "what": recipe.what,
        "space": to_json(recipe.space),
        "fixed": dict(recipe.fixed),
        "epochs": recipe.epochs,
        "design": recipe.design,
        "configs": {key: [to_stored(c)[key] for c in configs] for key in recipe.space},
        "scores": [first[n]["scores"] for n in numbers],
        "seconds": [[round(s, 3) for s in first[n]["seconds"]] for n in numbers],
        "repeats": {str(n): repeats[n] for n in sorted(repeats)},
    }
    DATA.mkdir(exist_ok=True)
    file = DATA / f"{name}.json.gz"
    file.write_bytes(gzip.compress(json.dumps(stored, separators=(",", ":")).encode(), mtime=0))
    return file


def table_names() -> list[str]:
    """The tables that are stored."""
    return sorted(file.name.removesuffix(".json.gz") for file in DATA.glob("*.json.gz"))


@cache
def load_table(name: str, part: str = "all") -> Table:
    """Read a table, or a part of it.

    Args:
        name: One of `table_names`.
        part: ``all``, ``design`` or ``final``.
    """
    stored = json.loads(gzip.decompress((DATA / f"{name}.json.gz").read_bytes()))
    columns, space = stored["configs"], from_json(stored["space"])
    table = Table(
        name=stored["name"],
        what=stored["what"],
        space=space,
        fixed=stored["fixed"],
        epochs=stored["epochs"],
        design=stored["design"],
        configs=[
            from_stored(dict(zip(columns, values, strict=True)), space, stored["fixed"])
            for values in zip(*columns.values(), strict=True)
        ],
        scores=[tuple(curve) for curve in stored["scores"]],
        seconds=[tuple(curve) for curve in stored["seconds"]],
        repeats={int(n): [tuple(c) for c in curves] for n, curves in stored["repeats"].items()},
    )
    return table.part(part)
