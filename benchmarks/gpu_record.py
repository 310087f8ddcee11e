"""How much ``benchmarks/gpu.py`` measures, and where its figures go."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepsight.config import Value

DATA = "benchmarks.gpu_data:cifar_shaped"


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        images: To train on; a fifth as many are validated by.
        epochs: Timed, after a first one that is not.
        seconds: Steps are counted for so long at a time.
        rounds: Measurements of every rate.
        sharing: Most trials at a time.
        matrix: Side of the matrices whose product is timed.
        networks: Settings by name of the network.
    """

    images: int
    epochs: int
    seconds: float
    rounds: int
    sharing: int
    matrix: int
    networks: Mapping[str, Mapping[str, Value]]


RESNET18: dict[str, Value] = {"model.name": "resnet18", "model.weights": "none"}
SCRATCH: dict[str, Value] = {"model.name": "scratch_cnn", "model.weights": "none"}
FULL = Sizes(
    images=50_000,
    epochs=5,
    seconds=2.0,
    rounds=3,
    sharing=8,
    matrix=8192,
    networks={
        "scratch_cnn": SCRATCH | {"optim.batch_size": 1024},
        "resnet18_cifar": RESNET18 | {"model.stem": "cifar", "optim.batch_size": 512},
        "resnet18": RESNET18 | {"optim.batch_size": 64},
    },
)
SLIM: dict[str, Value] = {"model.depth": 1, "model.width": 4, "model.dense_layers": 0}
TINY = Sizes(
    images=200,
    epochs=1,
    seconds=0.1,
    rounds=2,
    sharing=2,
    matrix=256,
    networks=dict.fromkeys(FULL.networks, SCRATCH | SLIM | {"optim.batch_size": 64}),
)


class Record:
    """Options of a part, and where its figures go.

    Attributes:
        device: "cuda" or "cpu".
        sizes: How much is measured.
        out: The folder.
        tiny: Whether `sizes` are the small ones.
    """

    def __init__(self, device: str, tiny: bool, out: Path, part: str) -> None:
        self.device, self.tiny, self.out = device, tiny, out
        self.sizes = TINY if tiny else FULL
        self._file = out / f"{part}.jsonl"

    def put(
        self,
        figure: str,
        values: float | str | Sequence[float],
        unit: str = "",
        most: float | None = None,
        least: float | None = None,
    ) -> None:
        """Write one figure: a text, or the median and range of numbers.

        Args:
            figure: What was measured.
            values: One or several of it.
            unit: Of the values.
            most: An aim: no more than this.
            least: An aim: no less than this.
        """
        row: dict[str, Any] = {"figure": figure, "unit": unit, "n": 1, "aim": "", "met": None}
        if isinstance(values, str):
            row["value"] = values
        else:
            many = [float(v) for v in np.atleast_1d(values)]
            middle = statistics.median(many)
            row |= {"value": middle, "low": min(many), "high": max(many), "n": len(many)}
            if most is not None:
                row |= {"aim": f"at most {most:g}", "met": middle <= most}
            if least is not None:
                row |= {"aim": f"at least {least:g}", "met": middle >= least}
        with self._file.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def flat(self, network: str, **changes: Value) -> dict[str, Value]:
        """The config of a network, with ``section__name=value`` changed."""
        fixed: dict[str, Value] = {"data.name": DATA, "data.size": self.sizes.images}
        changed = {name.replace("__", "."): value for name, value in changes.items()}
        return fixed | {"hardware.device": self.device} | self.sizes.networks[network] | changed
