"""Runs what a confirmation lists, by the same driver as a search; a study below the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from deepsight.config import UserError
from deepsight.confirm.runs import confirm_plan, find_run, missing_runs, with_planned
from deepsight.confirm.variants import load_done
from deepsight.imports import REFUSE, Permission
from deepsight.run_store import Study, open_study
from deepsight.space import Entry
from deepsight.tune import driver
from deepsight.tune.driver import Outcome
from deepsight.tune.plan import StudyPlan, plan_from_header, plan_to_json
from deepsight.tune.preflight import prepare_all

Runs = Sequence[Mapping[str, Entry]]


def require_search_data(search: Study, plan: StudyPlan) -> None:
    """Refuse data other than those of the search: nothing would be confirmed.

    Raises:
        UserError: If they are gone or have changed.
    """
    before, now = search.header.fingerprint, prepare_all(plan).get("fingerprint")
    if before is not None and now != before:
        raise UserError(
            f"the data have changed since the search (fingerprint {before[:12]}, now "
            f"{str(now)[:12]}): its scores cannot be confirmed on them.",
            "Restore them, or say where they are now: --data folder:PATH.",
        )


def run_confirmation(
    plan: StudyPlan,
    directory: Path,
    wanted: Runs,
    *,
    address: str | None,
    data: str | None,
    permission: Permission = REFUSE,
) -> Outcome | None:
    """Train what of `wanted` is not there yet; None if all of it is.

    Args:
        plan: The search's, with what is granted now.
        directory: Of the confirmation; made if absent.
        wanted: Configs of runs, from `deepsight.confirm.runs.run_of`.
        address: A running Ray cluster; None starts Ray here.
        data: Where the data are now, if they have moved.
        permission: Which code that the confirmation's files name may run.

    Raises:
        UserError: As `deepsight.tune.driver.run_study`.
    """
    done = load_done(directory)
    if done is None:
        fresh = with_planned(confirm_plan(plan), missing_runs((), wanted))
        return driver.run_study(
            fresh, directory, address=address, show_progress=True, may_exit=True
        )
    old = plan_from_header(done.header)
    new = missing_runs(old.planned, wanted)
    if new:
        longer = with_planned(old, [*old.planned, *new])
        with open_study(directory) as writer:
            writer.write_header(dict(done.header.stored) | plan_to_json(longer))
    elif all((r := find_run(done, config)) and r.ended for config in wanted):
        return None
    return driver.resume_study(
        directory,
        address=address,
        show_progress=True,
        may_exit=True,
        data=data,
        permission=permission,
        allow_unauthenticated=plan.settings.allow_unauthenticated,
    )
