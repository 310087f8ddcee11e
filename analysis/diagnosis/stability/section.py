"""The section on whether the findings hold for other seeds."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.diagnosis.names import in_sentence
from analysis.diagnosis.page.pictures import Part
from analysis.diagnosis.results import Results
from analysis.diagnosis.stability.agreement import Agreement, unstable
from analysis.diagnosis.stability.seeds import Seeds
from analysis.page.document import Block, Note, Section, Table
from analysis.page.formatting import count, interval

TITLE = "Do the findings hold for other seeds?"


def stability_part(results: Results, seeds: Seeds, agreements: Sequence[Agreement]) -> Part:
    """How many fresh seeds agree on each finding, or how to make some."""
    return Part(
        section=lambda _: _section(results, seeds, agreements),
        summary=_lines(results, seeds, agreements),
        on_findings=True,
    )


def _section(results: Results, seeds: Seeds, agreements: Sequence[Agreement]) -> Section:
    notes: list[Block] = [Note(f"Left out: {reason}", warning=True) for reason in seeds.missing]
    if not seeds.found:
        model = results.model
        lead = (
            "Not known: there is no fresh seed of this config. python -m deepsight.confirm "
            f"{model.study.directory} --trials {model.trial_id} makes some."
        )
        return Section("stability", TITLE, lead, tuple(notes))
    own = [a for a in agreements if a.of_trial]
    weak = [a for a in own if not a.is_stable]
    notes += [Note(f"{_called(a, results)}. {unstable(a)}", warning=True) for a in weak]
    lead = f"{count(len(seeds.found), 'fresh seed')} of this config, the same tests: "
    lead += (
        f"{len(own) - len(weak)} of {count(len(own), 'finding')} hold for at least four of five."
        if own
        else "this trial has no finding."
    )
    if results.split == "test":
        lead += " Every seed's look at its test split is on record in confirm/."
    table = [_table(results, agreements)] if agreements else []
    return Section("stability", TITLE, lead, (*notes, *table))


def _lines(results: Results, seeds: Seeds, agreements: Sequence[Agreement]) -> str:
    """Lines for ``summary.txt``; empty where no seed was asked."""
    if not seeds.found:
        return ""
    told = [
        f"{_called(a, results)}: {len(a.seeds)} of {a.num_seeds}"
        + ("" if a.of_trial else ", not found in this trial")
        + ("" if a.is_stable or not a.of_trial else ", NOT STABLE")
        for a in agreements
    ]
    head = f"findings by how many of {len(seeds.found)} fresh seeds agree:"
    return "\n" + "\n".join([head, *(told or ["none"])]) + "\n"


def _called(agreement: Agreement, results: Results) -> str:
    names = [in_sentence(results.evaluation.classes[k]) for k in agreement.finding.labels]
    return f"{agreement.finding.kind} {' / '.join(names)}".strip()


def _table(results: Results, agreements: Sequence[Agreement]) -> Table:
    columns = (
        "finding",
        "classes",
        "in this trial",
        "seeds that agree",
        "share",
        "verdict",
        "seeds",
    )
    rows = tuple(
        (
            a.finding.kind,
            ", ".join(results.evaluation.classes[k] for k in a.finding.labels),
            "yes" if a.of_trial else "no",
            f"{len(a.seeds)} of {a.num_seeds}",
            interval(a.share),
            "stable" if a.is_stable else "not stable",
            " ".join(map(str, a.seeds)),
        )
        for a in agreements
    )
    caption = (
        "stable: at least four of five fresh seeds find the same defect or hint of the same "
        "classes; 95 % intervals of the share (Clopper and Pearson 1934)"
    )
    return Table("stability", columns, rows, caption)
