"""Finds a learning rate in one pass: ``python -m deepsight.training.lr_finder --space finetune``.

The rate grows exponentially from step to step while the loss is watched (Smith 2017, "Cyclical
learning rates for training neural networks"). Where it falls fastest is a good peak for OneCycle;
a tenth of where it is lowest is the safer choice of a constant rate.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepsight.command_line import Parser, run_command
from deepsight.config import (
    ResourceSettings,
    TrialConfig,
    UserError,
    Value,
    trial_config,
    unknown,
)
from deepsight.hardware import choose_hardware
from deepsight.installed import space_names
from deepsight.overrides import parse_set

LOWEST, HIGHEST = 1e-6, 10.0
"""Ends of the sweep: learning rates of the head."""
MIN_STEPS = 100
"""Steps at least: a small data set is passed more than once."""
WIDTH = math.log(2.0)
"""Standard deviation of the smoothing, in the logarithm of the learning rate: a factor of 2."""
LAST = 5
"""Steps whose mean loss tells whether the sweep goes on."""
TOO_HIGH = 4.0
"""The sweep ends when that mean exceeds its lowest value by this factor."""

Reals = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sweep:
    """A loss for every learning rate of the sweep, and what follows from them.

    Attributes:
        rates: (n,) learning rates of the head, rising.
        losses: (n,) loss of the step with that rate.
        smoothed: (n,) the losses without most of their noise.
        steepest: The rate at which the smoothed loss falls fastest; None if it never falls.
        tenth: A tenth of the rate with the lowest smoothed loss.
    """

    rates: Reals
    losses: Reals
    smoothed: Reals
    steepest: float | None
    tenth: float


def sweep_lr(config: TrialConfig) -> Sweep:
    """Train `config` once with exponentially growing learning rates.

    The schedule and the number of epochs play no part; frozen is what the first epoch freezes.

    Raises:
        UserError: As `deepsight.training.trial.build_learner`, or if the loss is not finite from
            the start.
    """
    from deepsight.training.process_settings import process_settings
    from deepsight.training.trial import build_learner

    hardware = choose_hardware(config.hardware, ResourceSettings().cpus_per_trial)
    with process_settings(hardware):
        learner = build_learner(dataclasses.replace(config, hardware=hardware))
        num_steps = max(MIN_STEPS, len(learner.updates()))
        rates = np.geomspace(LOWEST, HIGHEST, num_steps)
        losses: list[float] = []
        lowest = math.inf
        for loss in _steps(learner, rates):
            if not math.isfinite(loss):
                break
            losses.append(loss)
            mean = float(np.mean(losses[-LAST:]))
            lowest = min(lowest, mean)
            if mean > TOO_HIGH * lowest:
                break
    if len(losses) < 2:
        raise UserError(
            f"the loss is not finite at a learning rate of {LOWEST:g}.",
            "Check the images and the loss: no learning rate will do.",
        )
    return summarise(rates[: len(losses)], np.array(losses))


def _steps(learner: Any, rates: Reals) -> Iterator[float]:
    """The loss of one update at each of `rates`, in as many passes as it takes."""
    from deepsight.training.epoch import draw_streams, prepare, training_batch, update
    from deepsight.training.optim import set_lr
    from deepsight.training.seeding import generator

    seed, updates = learner.config.train.seed, learner.updates()
    for number, rate in enumerate(rates):
        epoch, position = 1 + number // len(updates), number % len(updates)
        if position == 0:
            order = learner.train.order(generator(seed, "order", epoch))
            streams = draw_streams(seed, epoch)
        if number == 0:
            prepare(learner, epoch)
        set_lr(learner.optimiser, rate / learner.config.optim.lr)
        inputs = [training_batch(learner, order[batch], streams) for batch in updates[position]]
        yield update(learner, inputs, number)[0].item()


def smooth(rates: Reals, losses: Reals) -> Reals:
    """Means of the losses, weighted by a Gaussian of the distance in the logarithm of the rate.

    Looking to both sides, unlike the running mean that is often used, it moves nothing to the
    right.
    """
    distances = np.log(rates)[:, None] - np.log(rates)[None, :]
    weights = np.exp(-0.5 * (distances / WIDTH) ** 2)
    return np.asarray(weights @ losses / weights.sum(axis=1))


def summarise(rates: Reals, losses: Reals) -> Sweep:
    """Read the two suggestions off the curve.

    Args:
        rates: (n,) rising, n at least 2.
        losses: (n,) finite.
    """
    smoothed = smooth(rates, losses)
    slopes = np.gradient(smoothed, np.log(rates))
    # the first means have neighbours on one side only, and follow their noise
    slopes[rates < rates[0] * math.exp(2 * WIDTH)] = 0.0
    lowest = int(smoothed.argmin())
    before = slopes[: lowest + 1]
    steepest = float(rates[before.argmin()]) if before.min() < 0 else None
    return Sweep(rates, losses, smoothed, steepest, float(rates[lowest]) / 10)


def draw_sweep(sweep: Sweep) -> Any:
    """A matplotlib figure of the sweep: loss against learning rate, suggestions marked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(sweep.rates, sweep.losses, color="0.75", linewidth=1, label="loss of each step")
    axes.plot(sweep.rates, sweep.smoothed, color="C0", linewidth=2, label="smoothed")
    marks = [(sweep.steepest, "C3", "steepest descent"), (sweep.tenth, "C2", "minimum / 10")]
    for rate, colour, name in marks:
        if rate is not None:
            axes.axvline(rate, color=colour, linestyle="--", label=f"{name}: {rate:.2g}")
    start, lowest = sweep.smoothed[0], sweep.smoothed.min()
    room = 0.5 * (start - lowest) + 0.05 * start
    axes.set(
        xscale="log",
        xlabel="learning rate of the head",
        ylabel="training loss",
        title="Learning-rate sweep",
        ylim=(max(0.0, lowest - room), max(start, lowest) + 2 * room),
    )
    axes.legend()
    return figure


def make_parser() -> Parser:
    """The flags."""
    parser = Parser(
        prog="python -m deepsight.training.lr_finder",
        description="Sweep the learning rate over one pass and suggest two values.",
    )
    add = parser.add_argument
    add("--space", metavar="NAME", help="take the fixed values of this space")
    add("--data", metavar="NAME", help="toy_objects, digits, cifar10, cifar100 or folder:PATH")
    add(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        dest="sets",
        help="any hyperparameter by its dotted name",
    )
    add("--out", metavar="FILE", type=Path, default=Path("lr_finder.png"), help="the plot")
    return parser


def config_from_flags(flags: argparse.Namespace) -> TrialConfig:
    """Defaults < the space's ``FIXED`` < ``--data`` < ``--set``.

    Raises:
        UserError: If a name or a value is not allowed.
    """
    flat = _fixed_of(flags.space) if flags.space else {}
    if flags.data:
        flat["data.name"] = flags.data
    return trial_config(flat | dict(parse_set(text) for text in flags.sets))


def _fixed_of(space: str) -> dict[str, Value]:
    if space not in space_names():
        raise unknown("space", space, space_names())
    module = importlib.import_module(f"deepsight.search_spaces.{space}")
    return dict(getattr(module, "FIXED", {}))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(make_parser(), _run, arguments)


def _run(flags: argparse.Namespace) -> int:
    config = config_from_flags(flags)
    if not flags.out.resolve().parent.is_dir():
        raise UserError(f"no folder {flags.out.parent} for --out.", "Make it first.")
    sweep = sweep_lr(config)
    try:
        draw_sweep(sweep).savefig(flags.out, dpi=150)
    except (OSError, ValueError) as error:
        raise UserError(f"{flags.out} cannot be written: {error}.", "Name a PNG file.") from error
    steepest = "none: the loss never falls" if sweep.steepest is None else f"{sweep.steepest:.3g}"
    sys.stdout.write(
        f"steepest descent: {steepest}\nminimum / 10: {sweep.tenth:.3g}\n{flags.out}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
