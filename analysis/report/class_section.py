"""The section of a report on classes: images by split, and the recall of the best trial."""

from __future__ import annotations

from analysis.page.document import Block, Note, Section, Table
from analysis.page.formatting import bounds, count, percent
from analysis.report.data import as_data
from analysis.report.study_results import StudyResults
from analysis.statistics.intervals import accuracy_interval
from deepsight.data.class_balance import ClassBalance, images_by_class

SPLITS = ("train", "val", "test")
_OPEN = 30  # classes from which the page shows the table only when asked


def class_section(results: StudyResults) -> Section:
    """Images and recall by class, and what to beware of."""
    title, balance = "Classes", results.summary.balance
    if balance is None:
        return Section("classes", title, "The study does not state its images by class.")
    notes = [Note(line, warning=True) for line in balance.warnings(results.summary.metric)]
    blocks: tuple[Block, ...] = (*notes, _table(results, balance))
    data = {"classes": as_data(balance)}
    return Section("classes", title, _lead(results, balance), blocks, data)


def _lead(results: StudyResults, balance: ClassBalance) -> str:
    lead = (
        f"{len(balance.counts)} classes, "
        f"{count(balance.num_images, 'validation image')}, of which {balance.majority!r}, the "
        f"largest class, has {percent(balance.majority_share)}."
    )
    best = results.summary.incumbent
    if best is not None and best.recall:
        lead += f" Recall is that of the best trial, {best.trial_id}, lowest first."
    return lead


def _table(results: StudyResults, balance: ClassBalance) -> Table:
    """One row a class."""
    summary = results.summary
    data = results.study.header.data
    images = {split: images_by_class(data, split) for split in SPLITS}
    best = summary.incumbent.recall if summary.incumbent else {}
    defaults = summary.baseline.recall if summary.baseline else {}
    rows = tuple(
        (
            name,
            *(images[split].get(name) for split in SPLITS),
            best.get(name),
            bounds(accuracy_interval(best[name], n)) if name in best and n else None,
            defaults.get(name),
            "cannot be judged" if name in balance.rare else None,
        )
        for name, n in sorted(balance.counts.items(), key=lambda item: best.get(item[0], 0.0))
    )
    columns = (
        "class",
        *(f"{split} images" for split in SPLITS),
        "recall",
        "interval",
        "recall of the defaults",
        "too few",
    )
    return Table("classes", columns, rows, "Images and recall by class", folded=len(rows) > _OPEN)
