"""What a confirmation found: sentences, a section of the study's report, a page of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from analysis.figures.confirmation import draw_forest, draw_waterfall
from analysis.figures.style import style
from analysis.page.document import Block, Card, Cell, Document, Note, Picture, Section, Table
from analysis.page.files import write_report
from analysis.page.formatting import count, interval, number
from analysis.page.markdown import table_markdown
from analysis.report.study_results import StudyResults
from analysis.statistics.intervals import Interval
from deepsight.confirm.record import FOLDER, Comparison, Confirmation, ConfirmedConfig, Estimate
from deepsight.files import make_folder
from deepsight.run_store import storage_error

TITLE, ABLATION_TITLE = "Confirmation on fresh seeds", "Choices taken back"
CURSE = "The winner's curse"


def estimate_text(estimate: Estimate | None) -> str:
    """A mean with its interval: ``0.912 [0.905, 0.919]``."""
    if estimate is None:
        return "none"
    if estimate.low is None or estimate.high is None:
        return number(estimate.value)
    return interval(Interval(estimate.value, estimate.low, estimate.high, estimate.n))


def confirmation_sentences(found: Confirmation) -> tuple[str, ...]:
    """What was found, the most important first."""
    winner = found.config(found.winner)
    if winner.mean is None:
        return (_no_mean(winner, found),)
    sentences = [
        f"Confirmed: {winner.name} reaches {found.metric} {estimate_text(winner.mean)} after "
        f"{count(found.max_epochs, 'epoch')} ({_seeds(winner, found)}).",
        _on_test(winner, found),
        *(_comparison(c, found) for c in found.comparisons if c.split == "val" and _of(c, winner)),
        _curse(winner),
        _target(winner, found),
        _rival(winner, found),
        *_troubles(found),
    ]
    return tuple(s for s in sentences if s)


def _no_mean(winner: ConfirmedConfig, found: Confirmation) -> str:
    return f"No run of {winner.name} completed {count(found.max_epochs, 'epoch')}."


def _seeds(config: ConfirmedConfig, found: Confirmation) -> str:
    assert config.mean is not None
    seeds = count(config.mean.n, "fresh seed")
    return f"{seeds}, each with its own split of the data" if found.resplit else seeds


def _on_test(winner: ConfirmedConfig, found: Confirmation) -> str:
    if winner.test_mean is None or found.test_metric is None:
        return ""
    return f"On the test split it has {found.test_metric} {estimate_text(winner.test_mean)}."


def _of(comparison: Comparison, winner: ConfirmedConfig) -> bool:
    return comparison.first == winner.name


def _comparison(comparison: Comparison, found: Confirmation) -> str:
    second = "the defaults" if comparison.second == found.defaults else comparison.second
    gain = comparison.gain
    if gain is None:
        return f"It has no seed in common with {second}."
    if found.until is not None:
        told = (
            f"{estimate_text(gain)} ({count(gain.n, 'pair')}; an interval for every look at once)"
        )
    elif comparison.p_adjusted is None:
        return (
            f"It differs from {second} by {estimate_text(gain)} ({count(gain.n, 'pair')}): without "
            "spread between seeds nothing can be said."
        )
    else:
        p = f"p = {comparison.p_adjusted:.2g} after Holm's correction"
        told = f"{estimate_text(gain)} ({count(gain.n, 'pair')}; {p})"
    if comparison.verdict == "undecided":
        return f"Against {second} nothing is decided: {told}."
    return f"It is {comparison.verdict} than {second}: by {told}."


def _curse(winner: ConfirmedConfig) -> str:
    luck = winner.optimism
    if luck is None or winner.search_score is None:
        return ""
    told = f"it scored {number(winner.search_score)} in the search"
    if luck.low is None or luck.high is None or luck.low <= 0 <= luck.high:
        return f"{CURSE} is not shown: {told}, {estimate_text(luck)} better than its mean."
    if luck.low > 0:
        return f"{CURSE}: {told}, by {estimate_text(luck)} more than it is worth."
    shortfall = Estimate(-luck.value, -luck.high, -luck.low, luck.n)
    return f"No winner's curse: {told}, by {estimate_text(shortfall)} worse than its mean."


def _target(winner: ConfirmedConfig, found: Confirmation) -> str:
    if found.target is None or winner.target is None or winner.mean is None:
        return ""
    ends = (winner.mean.low, winner.mean.high)
    worst, best = ends if found.mode == "max" else ends[::-1]
    shown = best if winner.target == "missed" else worst
    which = "best" if winner.target == "missed" else "worst"
    return (
        f"The target of {found.target:g} is {winner.target}: the {which} end of the interval is "
        f"{number(shown)}."
    )


def _rival(winner: ConfirmedConfig, found: Confirmation) -> str:
    """Another config whose mean is better than that of the search's winner."""
    sign = 1 if found.mode == "max" else -1
    assert winner.mean is not None
    own = winner.mean.value
    better = [c for c in found.configs if c.mean and sign * (c.mean.value - own) > 0]
    if not better:
        return ""
    best = max(better, key=lambda c: sign * c.mean.value if c.mean else 0.0)
    return (
        f"{best.name} has the better mean now, {estimate_text(best.mean)}; chosen on these seeds, "
        "it would have to be confirmed in its turn."
    )


def _troubles(found: Confirmation) -> list[str]:
    troubles = [
        f"{count(c.num_lost, 'run')} of {c.name} failed or diverged; its mean is over the others."
        for c in found.configs
        if c.num_lost
    ]
    if found.until is not None and not found.settled:
        troubles.append(
            f"Not settled: the seeds that were allowed do not tell differences of {found.until:g}."
        )
    if found.num_unfinished:
        troubles.append(f"{count(found.num_unfinished, 'run')} unfinished.")
    return troubles


def config_table(found: Confirmation) -> Table:
    """A row a config."""
    test = (f"mean {found.test_metric}",) if found.test_metric else ()
    columns = ("config", "seeds", "in the search", f"mean {found.metric}", *test, "winner's curse")
    columns += ("target",) if found.target is not None else ()
    rows = []
    for c in found.configs:
        row: list[Cell] = [c.name, c.mean.n if c.mean else 0, c.search_score]
        row += [estimate_text(c.mean)]
        row += [estimate_text(c.test_mean)] if test else []
        row += ["" if c.name == found.defaults else estimate_text(c.optimism)]
        row += [c.target or "unknown"] if found.target is not None else []
        rows.append(tuple(row))
    caption = "Means over fresh seeds with 95 % t intervals"
    return Table("confirmed", columns, tuple(rows), caption, marked=frozenset({0}))


def comparison_table(found: Confirmation) -> Table:
    """A row a comparison."""
    columns = ("first", "second", "on", "better by", "pairs", "p", "p adjusted", "first is")
    rows = tuple(
        (
            c.first,
            c.second,
            c.split,
            estimate_text(c.gain),
            c.gain.n if c.gain else 0,
            None if c.p is None else float(f"{c.p:.2g}"),
            None if c.p_adjusted is None else float(f"{c.p_adjusted:.2g}"),
            c.verdict,
        )
        for c in found.comparisons
    )
    caption = "Paired by seed; p of the t test, adjusted by Holm's method within each split"
    if found.until is not None:
        caption = "Paired by seed; intervals that hold at every number of seeds at once"
    return Table("confirmed_pairs", columns, rows, caption)


def confirmation_section(results: StudyResults) -> Section:
    """The confirmation in the report of its study, or how to make one."""
    found = results.confirmation
    if found is None:
        lead = (
            "Not confirmed: the best score was selected on one seed. python -m deepsight.confirm "
            "with this study retrains the best configs and the defaults on fresh seeds."
        )
        return Section("confirmation", TITLE, lead)
    return _section(found)


def ablation_section(results: StudyResults) -> Section:
    """The ablation in the report of its study, or how to make one."""
    if results.ablation is None:
        lead = (
            "Not made: python -m deepsight.confirm --ablate with this study takes the winner's "
            "choices back to their defaults, one at a time."
        )
        return Section("ablation", ABLATION_TITLE, lead)
    return _ablation_section(results.ablation)


def _ablation_section(found: Confirmation) -> Section:
    pairs = comparison_table(found)
    blocks: list[Block] = [dataclasses.replace(pairs, name="ablation_pairs")]
    with style():
        figure = draw_waterfall(found)
    if figure is not None:
        alt = "What each choice of the winner adds to the score of the defaults"
        caption = "Lines: 95 %, paired by seed. In grey: not decided, or only together."
        blocks.insert(0, Picture("waterfall", figure, alt, caption=caption))
    blocks += [Note(text, warning=True) for text in _troubles(found)]
    data = {"ablation": dataclasses.asdict(found)}
    return Section("ablation", ABLATION_TITLE, _lead(found), tuple(blocks), data)


def ablation_sentences(found: Confirmation) -> tuple[str, ...]:
    """Which choices of the winner are worth something."""
    pairs = [c for c in found.comparisons if c.split == "val" and c.second != found.defaults]
    winner = found.config(found.winner)
    if winner.mean is None:
        return (_no_mean(winner, found),)
    sentences = [
        f"{winner.name} reaches {found.metric} {estimate_text(winner.mean)}; its choices were "
        f"taken back one at a time ({count(len(pairs), 'choice')})."
    ]
    for verdict, told in (("better", "Worth something"), ("worse", "Worth less than the default")):
        named = [f"{c.second} loses {estimate_text(c.gain)}" for c in pairs if c.verdict == verdict]
        if named:
            sentences.append(f"{told}: {'; '.join(named)}.")
    open_ones = [c.second for c in pairs if c.verdict == "undecided"]
    if open_ones:
        sentences.append(f"Not decided by these seeds: {'; '.join(open_ones)}.")
    return (*sentences, *_troubles(found))


def _section(found: Confirmation) -> Section:
    blocks: list[Block] = [config_table(found), comparison_table(found)]
    if any(c.mean for c in found.configs):
        with style():
            figure = draw_forest(found)
        alt = "Scores of fresh seeds with means and intervals, and gains paired by seed"
        caption = "In grey: not decided, with all comparisons allowed for."
        blocks.insert(0, Picture("forest", figure, alt, caption=caption))
    blocks += [Note(text, warning=True) for text in _troubles(found)]
    data = {"confirmation": dataclasses.asdict(found)}
    return Section("confirmation", TITLE, _lead(found), tuple(blocks), data)


def _lead(found: Confirmation) -> str:
    """How the configs were chosen and what was looked at."""
    splits = "every seed with its own split" if found.resplit else "on the split of the search"
    opened = ""
    if found.test_metric:
        opened = f" The test split was looked at by {count(found.num_openings, 'model')}."
    return (
        f"{count(len(found.configs) - 1, 'config')} and the defaults: {found.chosen_by}; "
        f"{count(found.epochs, 'epoch')} of training, {splits}.{opened}"
    )


def confirmation_document(found: Confirmation) -> Document:
    """A page of its own."""
    winner = found.config(found.winner)
    cards = [Card(f"confirmed {found.metric}", _short(winner.mean), f"{winner.name}, mean")]
    if winner.test_mean and found.test_metric:
        cards.append(Card(found.test_metric, _short(winner.test_mean), "mean, opened once"))
    if winner.optimism:
        cards.append(Card("winner's curse", _short(winner.optimism), "search minus mean"))
    return Document(
        title=f"Confirmation of {found.study}",
        subtitle=f"DeepSight confirmation, {found.metric}",
        key_results=sentences_of(found),
        cards=tuple(cards),
        sections=(_section(found) if found.kind == "top" else _ablation_section(found),),
        warnings=(),
        footer=("Intervals are 95 %. The runs are a study of their own in this folder's parent.",),
    )


def _short(estimate: Estimate | None) -> str:
    return "none" if estimate is None else number(estimate.value)


def sentences_of(found: Confirmation) -> tuple[str, ...]:
    """What was found, of either kind."""
    return confirmation_sentences(found) if found.kind == "top" else ablation_sentences(found)


def write_confirmation(found: Confirmation, study: Path) -> Path:
    """Write the page of a confirmation below its study; returns the page.

    Raises:
        FileRefusedError: If a link stands in the way.
        StorageError: If the disk refuses.
    """
    parts = [FOLDER, "report" if found.kind == "top" else "ablation"]
    directory = study.joinpath(*parts)
    try:
        return write_report(confirmation_document(found), make_folder(study, parts))
    except OSError as error:
        raise storage_error(directory, error) from error


def confirmation_text(found: Confirmation) -> str:
    """What was found, and both tables in Markdown, for a terminal."""
    tables = [table_markdown(t) for t in (config_table(found), comparison_table(found))]
    return "\n\n".join(["\n".join(sentences_of(found)), *tables])
