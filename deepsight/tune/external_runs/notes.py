"""What a record of somebody else's Ray run leaves out, in sentences for its header."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

CHANGED, REPEATED, UNSTATED = "changed", "repeated", "unstated"
"""Kinds of what is left out: trials by Ray's ids; of the last one, names of hyperparameters."""
SHOWN = 10
"""Names in a sentence."""

SENTENCES = {
    CHANGED: "{n} trials were given another config while they ran (population based training): "
    "each ends there as stopped. What Ray trained on with it, from another trial's checkpoint, is "
    "left out, because no config had those epochs from the first one on.",
    REPEATED: "{n} trials that had ended ran again after the run was restored: their first run "
    "counts.",
    UNSTATED: "Configs hold {names}, which the space that the callback was given lacks: this study "
    "does not hold it.",
}


def sentences(left_out: Mapping[str, Sequence[str]]) -> list[str]:
    """A sentence for each kind of what is left out.

    Args:
        left_out: By kind, the trials or names.
    """
    met = [(kind, left_out[kind]) for kind in SENTENCES if left_out.get(kind)]
    return [
        SENTENCES[kind].format(
            n=len(names), names=", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        )
        for kind, names in met
    ]
