"""Where an adopted study comes from, and what of it was inferred."""

from __future__ import annotations

from analysis.page.document import Block, Section, Statement, Statements, Table
from analysis.page.formatting import count, key_values, text
from analysis.report.study_results import StudyResults
from deepsight.run_store import Study
from deepsight.space import Choice, Domain


def origin_sentence(results: StudyResults) -> str:
    """For the head of a report: that others made the study, and what that means."""
    study = results.study
    if not study.adopted:
        return ""
    adopted = f"This study was adopted ({results.summary.origin})."
    if not study.unexplored:
        return adopted
    return (
        f"{adopted} It has no explorers: what stopping may have cost cannot be told, and "
        "importance rests on trials that a searcher chose."
    )


def origin_sections(results: StudyResults) -> tuple[Section, ...]:
    """The section of an adopted study; none of our own."""
    study = results.study
    if not study.adopted:
        return ()
    origin = study.header.origin
    stated = [(name, origin.get(name)) for name in ("tool", "study", "source", "adopted")]
    versions = origin.get("versions")
    stated.append(("versions", key_values(versions) if isinstance(versions, dict) else None))
    rows = tuple((name, str(value)) for name, value in stated if value)
    notes = origin.get("notes")
    told = [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []
    blocks: tuple[Block, ...] = (
        Table("origin", ("", "value"), rows),
        Statements(tuple(Statement(note, "") for note in told)),
        Table("space", ("hyperparameter", "domain", "active with", "stated"), _domains(study)),
    )
    inferred = count(len(_inferred(study)), "domain")
    lead = (
        f"Another tool made this study; docs/adopt.md says how it was read. {inferred} of "
        f"{len(study.space)} were inferred from the values that were tried, so that shares of "
        "importance are over that range only."
    )
    return (Section("origin", "Where this study comes from", lead, blocks),)


def _inferred(study: Study) -> set[str]:
    stated = study.header.origin.get("inferred")
    return {n for n in study.space if isinstance(stated, list) and f"space.{n}" in stated}


def _domains(study: Study) -> tuple[tuple[str, ...], ...]:
    inferred = _inferred(study)
    return tuple(
        (name, _domain(domain), _condition(domain), "inferred" if name in inferred else "stated")
        for name, domain in study.space.items()
    )


def _domain(domain: Domain) -> str:
    if isinstance(domain, Choice):
        return " or ".join(map(text, domain.values))
    scale = ", logarithmic" if domain.log else ""
    return f"{text(domain.low)} to {text(domain.high)}{scale}"


def _condition(domain: Domain) -> str:
    condition = domain.condition
    if condition is None:
        return "all"
    return f"{condition.name} {' or '.join(map(text, condition.values))}"
