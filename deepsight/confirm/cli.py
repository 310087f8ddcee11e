"""The command line of a confirmation: what it costs, the runs, the results.

Ray and torch are imported only after flags and study have been checked.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deepsight.command_line import Parser, run_command
from deepsight.config import UserError, Value
from deepsight.confirm.driver import require_search_data, run_confirmation
from deepsight.confirm.record import ABLATION_FILE, FILE, FOLDER, Confirmation, save_confirmation
from deepsight.confirm.runs import (
    Contender,
    Cost,
    choose_contenders,
    expected_cost,
    price_text,
    run_of,
    slots_of,
)
from deepsight.confirm.variants import fresh_seeds, load_done
from deepsight.imports import add_trust_flag, permission_of
from deepsight.installed import own_analysis
from deepsight.overrides import parse_set
from deepsight.run_store import Study, load_study, score_text
from deepsight.space import Entry
from deepsight.tune.plan import StudyPlan, imports_of, plan_from_header, require_directory
from deepsight.tune.preflight import check_plan
from deepsight.tune.resume import with_data

if TYPE_CHECKING:
    from deepsight.confirm.results import Asked

EXIT_NO_SUCCESS = 1
OPEN_CLUSTER = "study.allow_unauthenticated"
PLANS = ("top", "predicted", "seeds", "until", "trials", "ablate", "budget")
"""Flags that say which runs there are."""
MOST = 1000
"""Configs, and seeds of one, that may be asked for."""

Run = tuple[Contender, Mapping[str, Entry]]


def make_parser() -> Parser:
    """The flags."""
    parser = Parser(
        prog="python -m deepsight.confirm",
        description="Retrain the best configs of a study and its defaults with fresh seeds.",
        epilog="The same command goes on with what was interrupted. The last line of standard "
        "output is the report. Exit codes as of deepsight.tune.",
    )
    add = parser.add_argument
    add("study", metavar="runs/STUDY", help="the study whose best configs are confirmed")
    add("--top", metavar="K", help="best configs by their score (default 3; 2 with --until)")
    add("--predicted", action="store_true", help="besides, the K that the surrogate predicts best")
    add("--seeds", metavar="N", help="fresh seeds for every config (default 5; 20 with --until)")
    add(
        "--until",
        metavar="DIFFERENCE",
        help="add seeds only until it is settled whether the winner is better than the defaults "
        "and the runner-up, or differs by less than this; --seeds is the most",
    )
    add("--trials", metavar="IDS", help="trials to confirm instead, as t0003,t0011")
    add("--ablate", action="store_true", help="take the winner's choices back, one at a time")
    add("--budget", metavar="EPOCHS", help="with --ablate: those that matter most, for so many")
    add("--claims", metavar="FILE", help="instead: settle what is undecided in a file of claims")
    add("--only", nargs="+", metavar="NAME", help="with --claims: these of them, as batch-32,mish")
    add("--resplit", action="store_true", help="split the data anew for every seed too")
    add("--no-test", action="store_true", help="leave the test split closed")
    add("--data", metavar="NAME", help="where the study's data have moved to, as folder:PATH")
    add("--address", metavar="ADDRESS", help="an existing Ray cluster")
    add(
        "--set", metavar=f"{OPEN_CLUSTER}=true", dest="sets", help="join one without authentication"
    )
    add_trust_flag(parser)
    add("--dry-run", action="store_true", help="say what would be run and what it costs")
    return parser


@own_analysis()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(make_parser(), _run, arguments)


def _whole_number(name: str, text: str, low: int, high: int) -> int:
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise UserError(
            f"{name} must be a whole number from {low} to {high}, got {text!r}.",
            f"As in {name} {max(low, 3)}.",
        )
    return int(text)


def _difference(text: str | None) -> float | None:
    if text is None:
        return None
    value = parse_set(f"x={text}")[1]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise UserError(
            f"--until must be a positive number, got {text!r}.",
            "The smallest difference that matters, as in --until 0.01.",
        )
    return float(value)


def _run(flags: argparse.Namespace) -> int:
    directory = require_directory(flags.study, ["study.json", "trials.jsonl"])
    search = load_study(directory)
    granted = _granted(flags.sets)
    plan = with_data(plan_from_header(search.header, **granted), search.header, flags.data)
    named = [flags.data] if flags.data else []
    permission_of(flags).also(named).require(imports_of(plan, search), directory)
    if flags.resplit and plan.own_trainable:
        raise UserError(
            "--resplit: the data of a trainable of your own are its own.",
            "Leave --resplit away; your trainable may split by train.seed of its config.",
        )
    if flags.claims is not None:
        return _settle_claims(search, plan, flags)
    if flags.only is not None:
        raise UserError("--only is for --claims.", "Leave it away, or add --claims FILE.")
    return _confirm(search, plan, _asked(search, plan, flags), flags)


def _granted(text: str | None) -> dict[str, Value]:
    """What ``--set`` accepts, as `plan_from_header` takes it; the study's own grants are past."""
    if text is None:
        return {}
    name, value = parse_set(text)
    if name != OPEN_CLUSTER:
        raise UserError(
            f"--set {name}: a confirmation trains as the search did.",
            f"Only {OPEN_CLUSTER} can be set.",
        )
    return {name.removeprefix("study."): value}


def _settle_claims(search: Study, plan: StudyPlan, flags: argparse.Namespace) -> int:
    """Train the runs that settle what a file of claims leaves undecided, and judge them."""
    from deepsight.confirm import claims

    given = [f"--{name}" for name in PLANS if getattr(flags, name) not in (None, False)]
    if given:
        raise UserError(
            f"--claims plans its own runs, without {', '.join(given)}.",
            "Leave these flags away; the file has power, matters and most_seeds.",
        )
    judged = claims.load_asked(search, flags.claims, flags.only)
    say = sys.stdout.write if flags.dry_run else sys.stderr.write
    say(claims.cost_text(search, plan, judged, flags.resplit))
    check_plan(plan, local=not flags.address)
    if flags.dry_run:
        return 0
    require_search_data(search, plan)
    train = partial(_train, search, plan, flags=flags)
    stopped = claims.run_claims(search, plan, judged, flags.resplit, train)
    if stopped:
        sys.stderr.write("stopped; the same command goes on\n")
        return 128 + stopped
    sys.stdout.write(f"{claims.conclude(search, judged.file, flags.claims)}\n")
    return 0


def _asked(search: Study, plan: StudyPlan, flags: argparse.Namespace) -> Asked:
    """What the flags ask for."""
    from deepsight.confirm.results import Asked, top_pairs, winner_pairs
    from deepsight.confirm.statistics import MOST_SEEDS

    if flags.ablate:
        return _asked_ablation(search, plan, flags)
    if flags.budget:
        raise UserError("--budget is for --ablate.", "Leave it away, or add --ablate.")
    until = _difference(flags.until)
    usual = ("3", "5") if until is None else ("2", f"{MOST_SEEDS}")
    top = _whole_number("--top", flags.top or usual[0], 1, MOST)
    seeds = _whole_number("--seeds", flags.seeds or usual[1], 2, MOST)
    trials = [name for name in (flags.trials or "").split(",") if name]
    predicted = _predicted(search, top) if flags.predicted else []
    contenders = choose_contenders(search, top, trials, predicted)
    return Asked(
        kind="top",
        contenders=contenders,
        seeds=fresh_seeds(search, seeds),
        resplit=flags.resplit,
        chosen_by=_chosen_by(search, trials, predicted),
        pairs=top_pairs(contenders) if until is None else winner_pairs(contenders),
        until=until,
    )


def _asked_ablation(search: Study, plan: StudyPlan, flags: argparse.Namespace) -> Asked:
    """The winner, its ablations and the defaults."""
    from deepsight.confirm.ablation import ablation_pairs, ablations, within_budget
    from deepsight.confirm.results import Asked

    if flags.until or flags.top or flags.predicted:
        raise UserError(
            "--ablate is about one config.", "Leave --top, --predicted and --until away."
        )
    seeds = _whole_number("--seeds", flags.seeds or "5", 2, MOST)
    trials = [name for name in (flags.trials or "").split(",") if name]
    winner, *_, defaults = choose_contenders(search, 1, trials)
    found = ablations(plan, winner, defaults)
    budget = None
    if flags.budget:
        budget = _whole_number("--budget", flags.budget, 1, 10**9)
    chosen = within_budget(found, _shares(search), budget, seeds * search.max_epochs)
    contenders = [winner, *chosen, defaults]
    left_out = len(found) - len(chosen)
    return Asked(
        kind="ablation",
        contenders=contenders,
        seeds=fresh_seeds(search, seeds),
        resplit=flags.resplit,
        chosen_by=f"the choices of {winner.name} that differ from the defaults"
        + (f", {left_out} that matter least left out by --budget" if left_out else ""),
        pairs=ablation_pairs(contenders),
    )


def _shares(search: Study) -> dict[str, float]:
    """What each hyperparameter decides, by the surrogate; empty where trials are too few."""
    from analysis.importance.importance import RANKED, compute_importance

    found = compute_importance(search)
    return {s.name: s.total.value for s in found.shares} if found.verdict == RANKED else {}


def _predicted(search: Study, top: int) -> list[str]:
    """The trials whose configs the surrogate predicts best at full budget, stopped ones too."""
    from analysis.importance.surrogate import NoSurrogate, fit_surrogate

    surrogate = fit_surrogate(search)
    reason = surrogate.reason if isinstance(surrogate, NoSurrogate) else ""
    if isinstance(surrogate, NoSurrogate) or not surrogate.quality.holds_out:
        raise UserError(
            f"--predicted: {reason or 'held-out trials are not predicted by the surrogate.'}",
            "Leave --predicted away, or search on.",
        )
    records = [r for r in search.records if search.score(r) is not None]
    scores = surrogate.final_mean(surrogate.encoding.units([r.config for r in records]))
    best = (-search.objective.sign * scores).argsort(kind="stable")
    return [records[i].trial_id for i in best[:top]]


def _chosen_by(search: Study, trials: Sequence[str], predicted: Sequence[str]) -> str:
    told = f"the best {search.metric} among the trials that completed {search.max_epochs} epochs"
    if trials:
        told = "named by trial id"
    if predicted:
        told += f"; the best by the surrogate's prediction are {', '.join(predicted)}"
    return told


def _confirm(search: Study, plan: StudyPlan, asked: Asked, flags: argparse.Namespace) -> int:
    """Say the cost, run what is missing, write what was found."""
    place = search.directory / FOLDER
    cost = expected_cost(search, load_done(place), _runs(plan, asked, asked.seeds))
    say = sys.stdout.write if flags.dry_run else sys.stderr.write
    say(_cost_text(search, asked, cost))
    check_plan(plan, local=not flags.address)
    if flags.dry_run:
        return 0
    require_search_data(search, plan)
    stopped = (_run_all if asked.until is None else _run_until)(search, plan, asked, flags)
    if stopped:
        sys.stderr.write("stopped; the same command goes on\n")
        return 128 + stopped
    return _conclude(search, plan, load_study(place), asked, flags)


def _runs(
    plan: StudyPlan, asked: Asked, seeds: Sequence[int], names: Collection[str] | None = None
) -> list[Run]:
    """Every contender, or those of `names`, with every seed, seed by seed."""
    chosen = [c for c in asked.contenders if names is None or c.name in names]
    return [(c, run_of(plan, c, seed, asked.resplit)) for seed in seeds for c in chosen]


def _train(
    search: Study, plan: StudyPlan, runs: Sequence[Run], flags: argparse.Namespace
) -> int | None:
    """Train what of `runs` is missing; the signal that stopped it, if any."""
    wanted = [config for _, config in runs]
    place = search.directory / FOLDER
    outcome = run_confirmation(
        plan,
        place,
        wanted,
        address=flags.address,
        data=flags.data,
        permission=permission_of(flags).also(imports_of(plan, search)),
    )
    return outcome.signal if outcome else None


def _run_all(search: Study, plan: StudyPlan, asked: Asked, flags: argparse.Namespace) -> int | None:
    """Every contender with every seed; the signal that stopped it, if any."""
    return _train(search, plan, _runs(plan, asked, asked.seeds), flags)


def _run_until(
    search: Study, plan: StudyPlan, asked: Asked, flags: argparse.Namespace
) -> int | None:
    """A few seeds, then more for the configs of open pairs; the signal that stopped it, if any."""
    from deepsight.confirm.results import compare_val, open_pairs
    from deepsight.confirm.statistics import FIRST_SEEDS, seeds_at_once

    assert asked.until is not None
    count = min(FIRST_SEEDS, len(asked.seeds))
    runs = _runs(plan, asked, asked.seeds[:count])
    while True:
        stopped = _train(search, plan, runs, flags)
        if stopped:
            return stopped
        found = compare_val(search, plan, load_study(search.directory / FOLDER), asked)
        names = {name for pair in open_pairs(found, asked.until) for name in pair}
        if not names or count == len(asked.seeds):
            return None
        step = seeds_at_once(len(names), slots_of(search))
        runs += _runs(plan, asked, asked.seeds[count : count + step], names)
        count = min(count + step, len(asked.seeds))


def _conclude(
    search: Study, plan: StudyPlan, done: Study, asked: Asked, flags: argparse.Namespace
) -> int:
    """Compute, save and show what was found."""
    from deepsight.confirm.opened_test import scores_on_test
    from deepsight.confirm.results import compute_confirmation

    permission = permission_of(flags).also(imports_of(plan, search))
    opened = None if flags.no_test else partial(scores_on_test, permission=permission)
    found = compute_confirmation(search, plan, done, asked, opened)
    file = FILE if asked.kind == "top" else ABLATION_FILE
    save_confirmation(found, search.directory / FOLDER / file)
    return show(found, search.directory)


def show(found: Confirmation, directory: Path) -> int:
    """Write the report of a confirmation, print its table and its place; the exit code."""
    from analysis.report.confirmation import confirmation_text, write_confirmation

    page = write_confirmation(found, directory)
    sys.stdout.write(f"{confirmation_text(found)}\n{page}\n")
    return 0 if any(c.mean for c in found.configs) else EXIT_NO_SUCCESS


def _cost_text(search: Study, asked: Asked, cost: Cost) -> str:
    """What is run and what that takes, in two or three lines."""
    lines = ["confirms   " + ", ".join(_contender_text(search, c) for c in asked.contenders)]
    seeds = f"{asked.seeds[0]} to {asked.seeds[-1]}"
    splits = "a split of its own for each" if asked.resplit else "the split of the search"
    lines.append(f"seeds      {len(asked.seeds)} fresh ones, {seeds}; {splits}")
    lines.append(f"cost       {price_text(cost, most=asked.until is not None)}")
    return "".join(f"{line}\n" for line in lines)


def _contender_text(search: Study, contender: Contender) -> str:
    score = contender.search_score
    told = "no score at full budget" if score is None else f"{search.metric} {score_text(score)}"
    name = contender.name
    name += f" ({contender.trial_id})" if name != contender.trial_id else ""
    return f"{name} {told}"
