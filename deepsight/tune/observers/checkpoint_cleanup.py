"""Deletes checkpoints that are no longer needed while a search runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from deepsight.files import remove_files
from deepsight.run_store import CHECKPOINT_FILE
from deepsight.tune.search.search import Observer
from deepsight.tune.search.searcher import Proposal

OLD = re.compile(re.escape(CHECKPOINT_FILE) + r"\.previous")
ALL = re.compile(re.escape(CHECKPOINT_FILE) + r"(\.previous)?")
"""Checkpoints of a trial, by the names that workers give them."""


@dataclass(frozen=True)
class CheckpointCleanup(Observer):
    """An observer that keeps only the checkpoints of trials that completed the full budget."""

    directory: Path
    max_epochs: int

    def ended(self, proposal: Proposal, state: str, error: str | None) -> None:
        """Keep the last checkpoint of a trial that spent the full budget, no other."""
        full = state == "completed" and proposal.budget >= self.max_epochs
        names = OLD if full else ALL
        remove_files(self.directory, ["trials", proposal.trial_id], names)
