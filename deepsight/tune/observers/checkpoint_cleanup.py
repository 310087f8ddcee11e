"""Deletes what nobody will need while a search runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepsight.tune.ray_backend.worker import CHECKPOINT
from deepsight.tune.search.searcher import Proposal


@dataclass(frozen=True)
class Tidy:
    """An observer that deletes checkpoints nobody will need: of all but full-budget trials."""

    directory: Path
    max_epochs: int

    def started(self, proposal: Proposal) -> None:
        """Nothing to tidy."""

    def reported(self, proposal: Proposal, row: Mapping[str, Any]) -> None:
        """Nothing to tidy."""

    def paused(self, proposal: Proposal) -> None:
        """Nothing to tidy: it goes on from its checkpoint if it is promoted."""

    def ended(self, proposal: Proposal, state: str, error: str | None) -> None:
        """Keep the last checkpoint of a trial that spent the full budget, no other."""
        folder = self.directory / "trials" / proposal.trial_id
        full = state == "completed" and proposal.budget >= self.max_epochs
        for path in folder.glob(f"{CHECKPOINT}*"):
            if not full or path.name != CHECKPOINT:
                path.unlink()
