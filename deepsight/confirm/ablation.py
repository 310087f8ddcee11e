"""From the winner one choice at a time back to its default."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from deepsight.config import UserError
from deepsight.confirm.runs import Contender
from deepsight.confirm.variants import default_of, with_values
from deepsight.space import INACTIVE, same, to_stored
from deepsight.tune.plan import StudyPlan


def ablations(plan: StudyPlan, winner: Contender, defaults: Contender) -> dict[str, Contender]:
    """The winner with one hyperparameter at its default, by the hyperparameter.

    What is no longer active goes with it; what becomes active has its default.

    Args:
        plan: The search's.
        winner: Whose choices are taken back.
        defaults: The search's first trial.

    Raises:
        UserError: If the winner differs from the defaults in nothing.
    """
    found = {}
    for name in plan.space:
        if winner.config[name] is INACTIVE:
            continue
        default = default_of(defaults.config, name, plan.space[name])
        config = with_values(
            plan.space, plan.fixed, winner.config, defaults.config, {name: default}
        )
        if not all(same(config[key], winner.config[key]) for key in plan.space):
            label = f"{name} = {_shown(to_stored(config)[name])}"
            found[name] = dataclasses.replace(winner, name=label, config=config, search_score=None)
    if not found:
        raise UserError(
            f"{winner.name} has the values of the defaults: there is no choice to take back.",
            "Name another trial with --trials.",
        )
    return found


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def within_budget(
    found: Mapping[str, Contender], shares: Mapping[str, float], epochs: int | None, each: int
) -> list[Contender]:
    """The ablations, those that decide most first, as many as a budget pays for.

    Args:
        found: From `ablations`.
        shares: Total share of the score's variance, by hyperparameter.
        epochs: The budget; None pays for all.
        each: Epochs of one ablation, over all its seeds. Winner and defaults are paid first.

    Raises:
        UserError: If it does not pay for one.
    """
    ranked = sorted(found, key=lambda name: -shares.get(name, 0.0))
    if epochs is None:
        return [found[name] for name in ranked]
    affordable = epochs // each - 2
    if affordable < 1:
        raise UserError(
            f"--budget {epochs} does not pay for one ablation: winner, defaults and it take "
            f"{3 * each} epochs.",
            f"Ask for --budget {3 * each} or more, or for fewer --seeds.",
        )
    return [found[name] for name in ranked[:affordable]]


def ablation_pairs(contenders: Sequence[Contender]) -> list[tuple[str, str]]:
    """The winner against every ablation and against the defaults.

    Where one ablation is the defaults themselves, these are not asked about twice.
    """
    winner, *taken_back, defaults = contenders
    alike = any(
        all(same(c.config[key], value) for key, value in defaults.config.items())
        for c in taken_back
    )
    others = taken_back if alike else [*taken_back, defaults]
    return [(winner.name, other.name) for other in others]
