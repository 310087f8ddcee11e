"""Deletes checkpoints that are no longer needed while a search runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deepsight.run_store import CHECKPOINT_FILE
from deepsight.tune.search.search import Observer
from deepsight.tune.search.searcher import Proposal


@dataclass(frozen=True)
class CheckpointCleanup(Observer):
    """An observer that keeps only the checkpoints of trials that completed the full budget."""

    directory: Path
    max_epochs: int

    def ended(self, proposal: Proposal, state: str, error: str | None) -> None:
        """Keep the last checkpoint of a trial that spent the full budget, no other."""
        folder = self.directory / "trials" / proposal.trial_id
        full = state == "completed" and proposal.budget >= self.max_epochs
        for path in folder.glob(f"{CHECKPOINT_FILE}*"):
            if not full or path.name != CHECKPOINT_FILE:
                path.unlink()
