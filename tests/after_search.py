"""A process that searches, and then uses Ray for its own ends: run by tests/test_api.py."""

import json
import logging
import os
import signal
import sys
from pathlib import Path

import deepsight

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def state():
    """What a search may change in its process."""
    loggers = ("ray", "ray.tune", "ray.train", "ray.air", "deepsight")
    return {
        "environment": dict(os.environ),
        "handlers": [repr(signal.getsignal(number)) for number in SIGNALS],
        "levels": [logging.getLogger(name).level for name in loggers],
    }


def own(config):
    """A trainable of the user's own."""
    return {"score": config["x"]}


def refused(call):
    """What `call` is refused with."""
    try:
        call()
    except deepsight.UserError as error:
        return error.cause
    return None


def main():
    before = state()
    space = {"x": deepsight.uniform(0, 1), "kind": deepsight.choice("a", "b")}
    asked = {"study.trainable": "tests.trainables:curve", "study.metric": "score"}
    study = deepsight.search(space, trials=4, name="first", **asked)
    again = deepsight.resume(study, trials=6, trust=True)
    after = state()

    import ray
    from ray import tune

    put_back = not ray.is_initialized()
    ray.init("local", num_cpus=1, include_dashboard=False)
    cause = refused(lambda: deepsight.search(space, trials=2, name="second", **asked))
    alive = ray.is_initialized() and ray.get(ray.remote(lambda: 7).remote()) == 7
    run = tune.RunConfig(name="own", storage_path=str(Path.cwd() / "own"))
    grid = {"x": tune.grid_search([1, 2])}
    tune.Tuner(own, param_space=grid, run_config=run).fit()
    results = [json.loads(p.read_text()) for p in Path("own").rglob("result.json")]
    answer = {
        "trials": [len(study.records), len(again.records)],
        "before": before,
        "after": after,
        "no_ray": put_back,
        "cause": cause,
        "alive": alive,
        "second": Path("runs/second").exists(),
        "scores": sorted(r["score"] for r in results),
    }
    Path("answer.json").write_text(json.dumps(answer))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
