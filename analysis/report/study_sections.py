"""The sections of a study's report, from its results."""

from __future__ import annotations

from analysis.figures import cost, space, trajectory
from analysis.figures.parallel_coordinates import draw_interactive, shown_lines
from analysis.importance.importance import RANKED
from analysis.page.document import (
    Block,
    Cell,
    Interactive,
    Note,
    Picture,
    Section,
    Statement,
    Statements,
    Table,
)
from analysis.page.formatting import (
    count,
    duration,
    interval,
    key_values,
    number,
    percent,
    percent_bounds,
    percent_interval,
    text,
)
from analysis.report.class_section import class_section
from analysis.report.confirmation import ablation_section, confirmation_section
from analysis.report.data import as_data
from analysis.report.findings import compute_findings
from analysis.report.sensitivity_sections import effects_section, importance_section
from analysis.report.study_results import StudyResults
from analysis.statistics.trial_outcomes import OUTCOME_TEXTS, OUTCOMES
from deepsight.run_store import describe_data
from deepsight.space import Entry


def findings_section(results: StudyResults) -> Section:
    """Sentences on what is sure."""
    found = compute_findings(results)
    title, data = "Findings", {"observations": [as_data(f) for f in found]}
    if not found:
        lead = "The data carry no sentence whose direction is beyond doubt: more trials are needed."
        return Section("findings", title, lead, (), data)
    items = tuple(
        Statement(f.text, f"{interval(f.effect)}, n = {f.effect.n:,}; {f.unit}") for f in found
    )
    lead = "Every sentence has its effect, its 95 % interval and n; what is in doubt is left out."
    return Section("findings", title, lead, (Statements(items),), data)


def best_section(results: StudyResults) -> Section:
    """The incumbent's hyperparameters beside the defaults."""
    summary = results.summary
    best, defaults = summary.incumbent, summary.baseline
    if best is None:
        reason = "No trial has a score yet, so there is no best configuration."
        return Section("best", "Best configuration", reason)
    names = list(best.config)
    if defaults is None:
        lead = f"Trial {best.trial_id}. No trial is of defaults to compare it with."
        alone = tuple((name, text(best.config[name])) for name in names)
        only = Table("best_config", ("hyperparameter", f"best ({best.trial_id})"), alone)
        return Section("best", "Best configuration", lead, (only,), {"summary": as_data(summary)})
    rows = tuple((n, text(best.config[n]), text(defaults.config[n])) for n in names)
    marked = frozenset(i for i, name in enumerate(names) if name in summary.changed)
    changed = count(len(summary.changed), "hyperparameter")
    lead = f"Trial {best.trial_id} differs from the defaults in {changed} of {len(names)}, in bold."
    if best.trial_id == defaults.trial_id:
        lead = "The defaults themselves are the best so far."
    columns = ("hyperparameter", f"best ({best.trial_id})", f"defaults ({defaults.trial_id})")
    table = Table("best_config", columns, rows, marked=marked)
    return Section("best", "Best configuration", lead, (table,), {"summary": as_data(summary)})


def course_section(results: StudyResults) -> Section:
    """Scores against creation time, learning curves, the incumbent."""
    info = results.trajectory
    blocks: list[Block] = []
    if any(curve.scores for curve in info.curves):
        blocks.append(
            Picture(
                "created",
                trajectory.draw_created(info),
                f"Last {info.metric} of each trial against its creation"
                + (" time" if info.timed else ""),
            )
        )
        blocks.append(
            Picture(
                "curves",
                trajectory.draw_curves(info),
                f"{info.metric} of every trial over its epochs",
            )
        )
    if info.steps:
        blocks.append(
            Picture(
                "incumbent",
                trajectory.draw_incumbent(info),
                "Best score at full budget over trials, epochs"
                + (" and time" if info.timed else ""),
                wide=True,
            )
        )
        columns = ["trial", info.metric, "trials begun", "epochs trained"]
        columns += ["seconds"] if info.timed else []
        rows = tuple(
            (s.trial_id, s.score, s.num_trials, s.num_epochs, round(s.elapsed_s, 1))[: len(columns)]
            for s in info.steps
        )
        blocks.append(Table("incumbent", tuple(columns), rows, "Each new best at full budget"))
    return Section(
        "course",
        "Course of the study",
        _course_lead(results),
        tuple(blocks),
        {"trajectory": as_data(info)},
    )


def _course_lead(results: StudyResults) -> str:
    info = results.trajectory
    total = f"{count(info.num_trials, 'trial')} trained {count(info.num_epochs, 'epoch')}" + (
        f" in {duration(info.elapsed_s)}" if info.timed else ""
    )
    if not info.steps:
        return f"{total}; none has a score after {info.max_epochs} epochs yet."
    last = info.steps[-1]
    share = last.num_epochs / info.num_epochs
    return (
        f"{total}. The best score stands since trial {last.trial_id} finished, after "
        f"{percent(share)} of all epochs. Scores of trials that ended early are shown where they "
        "ended and are not compared with those at full budget."
    )


def trials_section(results: StudyResults) -> Section:
    """Parallel coordinates and the table of all trials."""
    info = results.coordinates
    if not info.lines:
        return Section("trials", "All trials", "No trial has begun.")
    outcomes = [line.outcome for line in info.lines]
    parts = [f"{outcomes.count(f)} {f}" for f in OUTCOMES if f in outcomes]
    lead = (
        f"{count(len(info.lines), 'trial')} ({', '.join(parts)}). Drag over an axis to keep the "
        "trials in that range; the table follows."
    )
    picture = Picture(
        "parallel_coordinates",
        space.draw_coordinates(info),
        "Parallel coordinates: one line a trial over all hyperparameters",
        wide=True,
    )
    plot = Interactive(draw_interactive(info, _ranking(results)), picture)
    table = _trial_table(results)
    meaning = "; ".join(f"{f}: {OUTCOME_TEXTS[f]}" for f in OUTCOMES if f in outcomes)
    data = {"coordinates": as_data(info)}
    return Section("trials", "All trials", lead, (plot, table, Note(f"{meaning}.")), data)


def _ranking(results: StudyResults) -> tuple[str, ...]:
    """Hyperparameters by importance; nothing while it is not known."""
    if results.sensitivity.importance.verdict != RANKED:
        return ()
    return tuple(share.name for share in results.sensitivity.importance.shares)


def _trial_table(results: StudyResults) -> Table:
    info, study = results.coordinates, results.study
    seconds = {t.trial_id: t.seconds for t in results.cost.trials}
    first = (
        "trial",
        "fate",
        "drawn by",
        "epochs",
        f"{info.metric} at {info.max_epochs} epochs",
        "at its last epoch",
        "seconds",
    )
    records = {r.trial_id: r for r in study.records}
    named = any(r.origin for r in study.records)
    rows: list[tuple[Cell, ...]] = []
    lines = shown_lines(info)
    for line in lines:
        spent = seconds.get(line.trial_id)
        rows.append(
            (
                line.trial_id,
                line.outcome,
                "explorer" if line.explorer else "searcher",
                line.num_epochs,
                line.score,
                study.score(records[line.trial_id]),
                None if spent is None else round(spent, 1),
                *(_cell(value) for value in line.values),
                *([records[line.trial_id].origin] if named else []),
            )
        )
    caption = "Best at full budget first; scores after different epochs do not compare."
    keys = tuple(line.trial_id for line in lines)
    columns = (*first, *study.space, *(["in the source"] if named else []))
    if study.unexplored:  # nothing tells who drew a trial
        columns, rows = (*columns[:2], *columns[3:]), [(*row[:2], *row[3:]) for row in rows]
    if len(lines) < len(info.lines):
        caption += f" The best {len(lines)} of {len(info.lines)} trials."
    titles = {"fate": "outcome"}
    return Table("trials", columns, tuple(rows), caption, keys, titles=titles)


def _cell(value: Entry) -> Cell:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else text(value)


def early_stopping_section(results: StudyResults) -> Section:
    """Survivors, what stopping saved, what it may have cost."""
    info = results.early_stopping
    title, data = "What stopping early did", {"rungs": as_data(info)}
    if not any(r.reached or r.explorers for r in info.rungs):
        return Section("rungs", title, "No trial has reached a rung yet.", (), data)
    lead = _saved_text(results)
    blocks: list[Block] = [
        Picture("rungs", cost.draw_rungs(info), "Trials that went on at each rung"),
        Note(_missed_text(results)),
    ]
    columns = (
        "epoch",
        "reached",
        "went on",
        "stopped",
        "waiting",
        "lost",
        "explorers",
        "worst that went on",
        "best that was stopped",
    )
    rows = tuple(
        (
            r.epoch,
            r.reached,
            r.went_on,
            r.stopped,
            r.waiting,
            r.failed_or_diverged,
            r.explorers,
            r.lowest_kept,
            r.best_stopped,
        )
        for r in info.rungs
    )
    caption = (
        "All trials by rung"
        if results.study.adopted
        else f"Trials that {info.scheduler} decides on, without the defaults, by rung"
    )
    caption += f"; scores are {info.metric} there"
    titles = {"lost": "failed or diverged"}
    blocks.append(Table("rungs", columns, rows, caption, titles=titles))
    return Section("rungs", title, lead, tuple(blocks), data)


def _saved_text(results: StudyResults) -> str:
    info = results.early_stopping
    if not info.epochs_saved:
        return f"No trial was stopped early; {count(info.epochs_trained, 'epoch')} were trained."
    seconds = f", about {duration(info.seconds_saved)} of training" if info.seconds_saved else ""
    return (
        f"Stopping saved {count(info.epochs_saved, 'epoch')}{seconds}: "
        f"{percent(info.saved_share)} of what the same trials would have trained without it."
    )


def _missed_text(results: StudyResults) -> str:
    info = results.early_stopping
    if info.never_stops:
        return (
            f"The scheduler {info.scheduler} stops no trial for its score, so that nothing could "
            "be missed."
        )
    if not info.rule_known:
        return (
            "What stopping may have cost cannot be told: the study does not state its scheduler "
            "and reduction factor."
        )
    missed = info.missed_anywhere
    if missed is None:
        return (
            "What stopping may have cost cannot be told: only explorers trained to the end would "
            f"show it, whatever they score, and {info.num_full_explorers or 'none'} "
            f"{'have' if info.num_full_explorers > 1 else 'has'} a score at full budget."
        )
    top = len(info.top_explorers)
    by_rung = ", ".join(
        f"{len(m.trials)} at epoch {m.epoch} {percent_bounds(m.share)}"
        for m in info.missed
        if m is not missed
    )
    return (
        f"What it may have cost: of the {top} best of {info.num_full_explorers} explorers of full "
        f"budget, {len(missed.trials)} would have been stopped on the way, "
        f"{percent_interval(missed.share)}; by rung {by_rung}. "
        "Explorers are never stopped on their score, so they show what the scheduler would have "
        "missed; the intervals are exact (Clopper and Pearson)."
    )


def cost_section(results: StudyResults) -> Section:
    """Accuracy against seconds, and the front."""
    info = results.cost
    title, data = "Accuracy against cost", {"cost": as_data(info)}
    if info.reason:
        return Section("cost", title, f"Nothing to show: {info.reason}.", (), data)
    by_id = {t.trial_id: t for t in info.trials}
    front = [by_id[name] for name in info.front]
    cheap, best = front[0], front[-1]
    lead = (
        f"Of {count(results.incumbent.num_full, 'trial')} of full budget, "
        f"{len(front)} {'is' if len(front) == 1 else 'are'} Pareto-optimal (no other is as good "
        "and cheaper, or better and as cheap)."
    )
    if len(front) > 1:
        lead += (
            f" The cheapest of them, {cheap.trial_id}, reaches {number(cheap.score)} in "
            f"{duration(cheap.seconds)}; the best, {best.trial_id}, {number(best.score)} in "
            f"{duration(best.seconds)}."
        )
    columns = (
        "trial",
        f"{info.metric} at {info.max_epochs} epochs",
        "seconds",
        "seconds per epoch",
    )
    rows = tuple((t.trial_id, t.score, round(t.seconds, 1), round(t.epoch_s, 3)) for t in front)
    blocks = (
        Picture("cost", cost.draw_cost(info), "Score at full budget against seconds"),
        Table("front", columns, rows, "No other trial is as good for less time"),
    )
    return Section("cost", title, lead, blocks, data)


def about_section(results: StudyResults) -> Section:
    """What was asked, on what data, with which versions."""
    header = results.study.header
    data = header.data
    asked = [
        ("study", header.name),
        ("created", header.created),
        ("searcher", header.searcher),
        ("earlier studies", ", ".join(str(s.get("study")) for s in header.warm_start)),
        ("scheduler", header.scheduler),
        ("rungs", ", ".join(map(str, results.study.rungs))),
        ("explorers, share asked for", header.explore),
        ("seeds", key_values(header.seeds)),
        ("data", describe_data(data)),
        ("classes", len(data.get("classes") or ()) or None),
        ("validation images", results.incumbent.num_val),
        ("data fingerprint", data.get("fingerprint")),
        ("hardware", key_values(header.hardware)),
        ("code", key_values(header.git)),
        ("versions", key_values(header.versions)),
    ]
    rows = tuple((k, v if isinstance(v, int | float) else str(v)) for k, v in asked if v)
    fixed = tuple((k, text(v)) for k, v in results.study.fixed.items())
    blocks = (
        Table("study", ("", "value"), rows),
        Table(
            "fixed",
            ("held fixed", "value"),
            fixed,
            "Hyperparameters that were not searched",
            folded=True,
        ),
    )
    return Section("about", "About this study", "What was asked, and with what.", blocks)


SECTIONS = (
    findings_section,
    best_section,
    confirmation_section,
    ablation_section,
    class_section,
    importance_section,
    effects_section,
    course_section,
    trials_section,
    early_stopping_section,
    cost_section,
    about_section,
)
"""In the order of the report."""
OWN_ONLY = (confirmation_section, ablation_section, class_section)
"""Those on what no other tool's study holds."""
