"""The claims as a table, a page, Markdown and JSON."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from analysis.claims.claim_files import MATTERS_MORE
from analysis.claims.figure import draw_claims
from analysis.claims.verdicts import (
    ELSEWHERE,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    Judged,
    Verdict,
    remedies,
)
from analysis.figures.style import style
from analysis.page.document import Block, Card, Document, Note, Picture, Section, Table
from analysis.page.files import write_report
from analysis.page.formatting import count, interval, number
from analysis.page.markdown import table_markdown
from analysis.statistics.intervals import Interval
from deepsight.files import make_folder
from deepsight.run_store import storage_error

FOLDER = "claims"


def effect_text(verdict: Verdict) -> str:
    """An effect with its interval and what it is measured in."""
    found = verdict.effect
    if found is None:
        return ""
    told = number(found.value)
    if found.low is not None and found.high is not None:
        told = interval(Interval(found.value, found.low, found.high, found.n))
    return told + (f" over {verdict.closest}" if verdict.closest else "")


def claims_table(judged: Judged) -> Table:
    """A row a claim."""
    columns = (
        "name",
        "claim",
        "verdict",
        "effect",
        "more than",
        "in",
        "judged by",
        "n",
        "p adjusted",
    )
    rows = tuple(
        (
            v.claim.name,
            v.claim.text if v.claim.text != v.claim.name else "",
            v.verdict,
            effect_text(v),
            None if v.verdict == ELSEWHERE else v.claim.by,
            v.unit,
            "" if v.verdict == ELSEWHERE else v.source,
            v.effect.n if v.effect else None,
            None if v.p_adjusted is None else float(f"{v.p_adjusted:.2g}"),
        )
        for v in judged.verdicts
    )
    caption = (
        "Effects with 95 % intervals, each by itself; verdicts by p values that are adjusted for "
        "all claims of the file (Holm)"
    )
    return Table("claims", columns, rows, caption, noun="claims")


def notes(judged: Judged) -> list[str]:
    """What is missing; claims that lack the same together."""
    named: dict[str, list[str]] = {}
    for verdict in judged.verdicts:
        if verdict.note:
            named.setdefault(verdict.note, []).append(verdict.claim.name)
    return [f"{', '.join(names)}: {note}" for note, names in named.items()]


def claims_text(judged: Judged, name: str) -> str:
    """Table, notes and remedies for a terminal.

    Args:
        judged: The claims.
        name: Of the file, as the user gave it.
    """
    parts = [table_markdown(claims_table(judged)), "\n".join(notes(judged))]
    found = remedies(judged, name)
    if found:
        parts.append("\n".join(["To settle what is undecided:", *found]))
    return "\n\n".join(part for part in parts if part)


def key_results(judged: Judged) -> tuple[str, ...]:
    """How many claims hold, and which."""
    counts = Counter(v.verdict for v in judged.verdicts)
    asked = len(judged.verdicts) - counts[ELSEWHERE]
    sentences = [
        f"Of {count(asked, 'claim')} about {judged.study.header.name}, {counts[SUPPORTED]} "
        f"{'is' if counts[SUPPORTED] == 1 else 'are'} supported, {counts[REFUTED]} refuted and "
        f"{counts[UNDECIDED]} undecided."
    ]
    for verdict in (SUPPORTED, REFUTED, UNDECIDED):
        named = [v.claim.text.rstrip(".") for v in judged.verdicts if v.verdict == verdict]
        if named:
            sentences.append(f"{verdict.capitalize()}: {'; '.join(named)}.")
    if counts[ELSEWHERE]:
        sentences.append(f"{count(counts[ELSEWHERE], 'claim')} not about this study.")
    return tuple(sentences)


def claims_document(judged: Judged, name: str) -> Document:
    """The page of a file of claims."""
    blocks: list[Block] = [claims_table(judged)]
    with style():
        for key, chosen in _panels(judged.verdicts):
            figure = draw_claims(chosen)
            if figure is not None:
                alt = "Effects of claims with their intervals, beside what they have to exceed"
                caption = "Lines: 95 %. Ticks: what the claim says it is more than."
                blocks.insert(0, Picture(key, figure, alt, caption=caption))
    blocks += [Note(text) for text in notes(judged)]
    blocks += [Note(f"To settle: {text}") for text in remedies(judged, name)]
    counts = Counter(v.verdict for v in judged.verdicts)
    cards = [Card(v, str(counts[v]), "claims") for v in (SUPPORTED, REFUTED, UNDECIDED)]
    lead = judged.file.description or "Statements, judged by confirmed runs before the surrogate."
    data = {"claims": to_json(judged)}
    return Document(
        title=f"Claims about {judged.study.header.name}",
        subtitle=f"DeepSight claims, {judged.file.path.name}",
        key_results=key_results(judged),
        cards=tuple(cards),
        sections=(Section("claims", "Claims", lead, tuple(blocks), data),),
        warnings=(),
        footer=("All else is as in the best config of the search.",),
    )


def _panels(verdicts: Sequence[Verdict]) -> list[tuple[str, list[Verdict]]]:
    """Claims that share a scale: scores and recalls, and shares of the variance."""
    known = [v for v in verdicts if v.effect is not None]
    scores = [v for v in known if v.claim.kind != MATTERS_MORE]
    shares = [v for v in known if v.claim.kind == MATTERS_MORE]
    return [(key, chosen) for key, chosen in (("shares", shares), ("effects", scores)) if chosen]


def to_json(judged: Judged) -> dict[str, object]:
    """All of it as plain values."""
    return {
        "version": 1,
        "study": judged.study.header.name,
        "file": judged.file.path.name,
        "other": judged.other.header.name if judged.other else None,
        "claims": [dataclasses.asdict(v) for v in judged.verdicts],
    }


def write_claims(judged: Judged, name: str) -> Path:
    """Write the page below the study; returns it.

    Raises:
        FileRefusedError: If a link stands in the way.
        StorageError: If the disk refuses.
    """
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", judged.file.path.stem).strip(".-") or "claims"
    parts = [FOLDER, stem]
    directory = judged.study.directory.joinpath(*parts)
    try:
        folder = make_folder(judged.study.directory, parts)
        return write_report(claims_document(judged, name), folder)
    except OSError as error:
        raise storage_error(directory, error) from error
