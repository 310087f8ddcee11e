"""Lists of suspicious images on planted sets: ours, cleanlab's and imagehash's, against the truth.

Both are optional: ``pip install cleanlab imagehash`` (Apache-2.0 and BSD-2-Clause). cleanlab's
`find_label_issues` gets the same held-out probabilities as our finding, with its defaults.
imagehash's `phash` is used as CleanVision uses it: a test image with the hash of a train image is a
near-duplicate. Our lists are the images that a finding names: empty without a finding.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import stats

from analysis.diagnosis.build import diagnosis_directory
from analysis.diagnosis.evaluation import evaluate, open_data
from analysis.diagnosis.findings import COPIES, LABELS, Findings
from deepsight.config import DataConfig
from deepsight.data.datasets import DATASETS
from deepsight.data.defects import plant_defects
from deepsight.trained_model import load_trained_model

INSTALL = "pip install cleanlab imagehash"
OURS = "DeepSight"

Counts = list[int]
"""Truly planted among the listed; listed; planted."""


def missing_peers() -> list[str]:
    """The packages that are not installed; `INSTALL` installs them."""
    missing = []
    for name in ("cleanlab", "imagehash"):
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    return missing


def compare_lists(study: Path, findings: Findings, peers: bool) -> dict[str, dict[str, Counts]]:
    """What is listed for ``labels`` and ``duplicates`` by us and, if `peers`, by others.

    Args:
        study: Of one trial, diagnosed on test.
        findings: Its.
        peers: Whether cleanlab and imagehash are asked.
    """
    model = load_trained_model(study)
    data = open_data(model)
    val, test = (
        evaluate(model, data, split, diagnosis_directory(model, split)) for split in ("val", "test")
    )
    ids = [str(name) for part, _ in (val, test) for name in part.ids]
    listed = {kind: {OURS: _files(findings, kind)} for kind in (LABELS, COPIES)}
    if peers:
        labels = np.concatenate([part.labels for part, _ in (val, test)])
        chances = np.concatenate([part.probabilities for part, _ in (val, test)])
        hits = label_issues(labels, chances.astype(np.float64))
        listed[LABELS]["cleanlab"] = {ids[row] for row in np.flatnonzero(hits)}
        same = equal_hashes(data.train.images, test[1].images)
        listed[COPIES]["imagehash"] = {str(test[0].ids[row]) for row in np.flatnonzero(same)}
    truth = planted_rows(model.config.data)
    truth = {LABELS: truth[LABELS] & set(ids), COPIES: truth[COPIES]}
    return {
        kind: {
            name: [len(found & truth[kind]), len(found), len(truth[kind])]
            for name, found in by_name.items()
        }
        for kind, by_name in listed.items()
    }


def _files(findings: Findings, kind: str) -> set[str]:
    return {name for f in findings.defects if f.kind == kind for name in f.files}


def planted_rows(config: DataConfig) -> dict[str, set[str]]:
    """Names of the images whose label or content was planted, by comparing with the source.

    Args:
        config: Of a set whose images keep their number: no class was made rare.
    """
    before = DATASETS[config.name].build(config, Path())
    after = plant_defects(before, config)
    wrong = np.flatnonzero(np.asarray(before.labels) != after.labels)
    changed = np.flatnonzero((before.images != after.images).any(axis=(1, 2, 3)))
    found = ((LABELS, wrong), (COPIES, changed))
    return {kind: {before.name(int(row)) for row in rows} for kind, rows in found}


def label_issues(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Any:
    """(N,) bool, what cleanlab's confident learning takes for wrong labels, by its defaults."""
    filters = importlib.import_module("cleanlab.filter")
    return filters.find_label_issues(labels, probabilities, n_jobs=1)


def equal_hashes(train: NDArray[np.uint8], test: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(N,) whether a test image has the perceptual hash of a train image."""
    phash = importlib.import_module("imagehash").phash
    known = {str(phash(Image.fromarray(np.asarray(image)))) for image in train}
    return np.array([str(phash(Image.fromarray(np.asarray(image)))) in known for image in test])


def lists_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Precision and recall of the lists over runs, in Markdown; clean twins: images listed."""
    lines = [
        "| data | planted | strength | list | precision | recall | runs that list any |",
        "|---|---|---|---|---|---|---|",
    ]
    own = [r for r in rows if "lists" in r]
    keys = dict.fromkeys((r["data"], r["kind"], r["strength"]) for r in own)
    for data, kind, strength in sorted(keys, key=lambda k: (k[0], k[1], -k[2])):
        runs = [r for r in own if (r["data"], r["kind"], r["strength"]) == (data, kind, strength)]
        for of in (LABELS, COPIES) if kind == "none" else (kind,):
            for name in dict.fromkeys(name for r in runs for name in r["lists"][of]):
                counts = np.array([r["lists"][of][name] for r in runs if name in r["lists"][of]])
                lines.append(_list_row((data, kind, strength, of), name, counts))
    return "\n".join(lines)


def _list_row(key: tuple[str, str, float, str], name: str, counts: NDArray[np.int64]) -> str:
    data, kind, strength, of = key
    some = counts[:, 1] > 0
    runs = f"{some.sum()} of {len(counts)}"
    if kind == "none":
        said = f"{counts[:, 1].mean():.1f} images listed a run"
        return f"| {data} | nothing |  | {name}: {of} | {said} |  | {runs} |"
    precision = _mean(counts[some, 0] / counts[some, 1])
    recall = _mean(counts[:, 0] / counts[:, 2])
    return f"| {data} | {kind} | {strength:g} | {name} | {precision} | {recall} | {runs} |"


def _mean(values: NDArray[np.float64]) -> str:
    """The mean over runs with its 95 % interval (Student's t)."""
    n = len(values)
    if n < 2:
        return f"{values.mean():.2f} (n = {n})" if n else "none listed"
    reach = float(stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n))
    low, high = max(0.0, values.mean() - reach), min(1.0, values.mean() + reach)
    return f"{values.mean():.2f} [{low:.2f}, {high:.2f}] (n = {n})"
