"""Small studies for trackers."""

import math
import uuid
from pathlib import Path

from deepsight.run_store import create_study, load_study
from deepsight.space import INACTIVE
from deepsight.tune.preflight import make_header
from tests.tune.plans import make_plan

V1 = Path(__file__).parent.parent / "data" / "studies" / "v1" / "smoke"
STATES = ("completed", "stopped", "diverged", "failed", "running")


def write_study(directory, trials=5, epochs=4, last_ended=True):
    """A study whose trials end in every way; the fifth is interrupted."""
    header = make_header(make_plan(trials=trials), {}) | {"id": uuid.uuid4().hex}
    with create_study(directory, header) as writer:
        for number in range(trials):
            name, state = f"t{number:04}", STATES[number % len(STATES)]
            config = {"x": 0.1 * number, "kind": "plain", "extra": INACTIVE}
            writer.started(name, config, number == 2, 9)
            for epoch in range(1, epochs + 1):
                lost = state == "diverged" and epoch == epochs
                score = math.nan if lost else 0.1 * epoch + 0.01 * number
                writer.result(name, {"epoch": epoch, "score": score, "recall": [0.5, score]})
            if state != "running":
                writer.ended(name, state, "planted" if state == "failed" else None)
    return load_study(directory)
