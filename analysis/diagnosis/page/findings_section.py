"""The section on findings, the lines of the summary, and ``recommendations.md``."""

from __future__ import annotations

from analysis.diagnosis.findings import ALPHA, Findings
from analysis.diagnosis.recommendations import (
    recommendations_text,
    remedies,
    sentence,
    summary_sentences,
)
from analysis.diagnosis.results import Results
from analysis.page.document import Block, Note, Section, Table
from analysis.page.formatting import count


def findings_section(findings: Findings, results: Results) -> Section:
    """What is wrong, and what to do, in a table and in sentences.

    Args:
        findings: Of the same model and split.
        results: Whose classes are named.
    """
    classes, model = results.evaluation.classes, results.model
    rows = []
    for f in findings.items:
        names = ", ".join(classes[label] for label in f.labels)
        number = f.number
        what = remedies(f, classes, model.config, model.stored_size)
        said = "; ".join(f"{r.text} {r.line}".strip() for r in what)
        cells = (f.kind, names, number.value, number.low, number.high, number.n, f.p_value)
        rows.append((*cells, len(f.files), said, f.note))
    columns = ("finding", "classes", "value", "low", "high", "n", "p", "images", "remedy", "note")
    notes = [
        Note(f"{sentence(f, classes)} {f.note}".strip(), warning=True) for f in findings.defects
    ]
    notes += [Note(f"Not tested: {reason}.") for reason in findings.not_measured]
    caption = "p: corrected for the tests of its family; images: named in recommendations.md."
    table = (Table("findings", columns, tuple(rows), caption, noun="findings", example="labels"),)
    lead = (
        f"{count(findings.num_tests, 'test')} in two families, for defects of the data and for "
        f"hints, each corrected: {100 * ALPHA:g} % of data without a defect have a false alarm. "
        "Hints stand in the table only: classes that are merely hard, and corners without masks."
    )
    if not findings.defects:
        notes.insert(0, Note(summary_sentences(findings, classes)[0]))
    blocks: tuple[Block, ...] = (*notes, *(table if rows else ()))
    return Section("findings", "What is wrong, and what to do", lead, blocks)


def findings_summary(findings: Findings | None, results: Results) -> str:
    """Lines for ``summary.txt``; empty without findings."""
    if findings is None:
        return ""
    said = summary_sentences(findings, results.evaluation.classes)
    return "\nfindings:\n" + "\n".join(said) + "\n"


def recommendations_of(findings: Findings, results: Results) -> str:
    """The text of ``recommendations.md``."""
    model = results.model
    return recommendations_text(
        findings, results.evaluation.classes, model.config, model.stored_size
    )
