"""Counts what the fault suite tried and what it found, for docs/robustness.md.

With ``FAULTS_OUT=file`` the figures are kept there as JSON: a list of faults with whether the
promises held (a test that fails leaves its faults without), and what follows for each kind. A file
that exists is added to, so that the suite can run in parts.
"""

import collections
import json
import os
from pathlib import Path

import pytest
from scipy.stats import beta

from tests.faults import harness


def bound(broken, tried):
    """95 % upper bound of the share of faults that break a promise (Clopper and Pearson 1934)."""
    return 1.0 if broken == tried else float(beta.ppf(0.95, broken + 1, tried - broken))


def summary(faults):
    """By kind: faults tried, those after which a promise was broken, and the bound.

    Only faults that were drawn at random bound anything; the others are all that there are.
    """
    kinds = collections.defaultdict(list)
    for fault in faults:
        kinds[fault["kind"]].append(fault)
    found = {}
    for kind, tried in sorted(kinds.items()):
        broken = sum(not fault["held"] for fault in tried)
        found[kind] = {"tried": len(tried), "broken": broken}
        if all(fault.get("random") for fault in tried):
            found[kind]["at_most"] = round(bound(broken, len(tried)), 4)
    return found


@pytest.fixture(autouse=True)
def _no_run_outlives_its_test():
    yield
    while harness.STARTED:
        run = harness.STARTED.pop()
        run.process.kill()
        run.process.communicate()


@pytest.fixture
def faults():
    """A list of what was tried: dictionaries of ``kind``, ``held`` and what else is known."""
    tried = []
    yield tried
    if tried and os.environ.get("FAULTS_OUT"):
        path = Path(os.environ["FAULTS_OUT"])
        before = json.loads(path.read_text())["faults"] if path.exists() else []
        figures = {"summary": summary([*before, *tried]), "faults": [*before, *tried]}
        path.write_text(json.dumps(figures, indent=1) + "\n")
