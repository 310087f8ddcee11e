"""What sharing a GPU gains: steps per second of 1, 2, 4, ... trials at a time.

    python benchmarks/gpu_packing.py [--space finetune --seconds 10 --rounds 3]

It is the measurement of ``resources.gpus_per_trial=auto``, repeated. ``--logical`` counts GPUs that
are not there, with training on the CPU: that shows that it runs, and nothing about GPUs.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def measure(space: str, cpus: float, seconds: float, rounds: int, logical: int) -> dict[str, Any]:
    """Measure `rounds` times on the first GPU of this machine."""
    import ray

    from deepsight.tune.plan import resolve_study
    from deepsight.tune.plan_files import load_space
    from deepsight.tune.preflight import check_plan, prepare_all, with_hardware
    from deepsight.tune.ray_backend.gpu_sharing_probe import measure_gpu_sharing

    given = {"resources.cpus_per_trial": cpus}
    plan = with_hardware(resolve_study("packing", *load_space(space), given))
    check_plan(plan)
    prepare_all(plan)
    ray.init(
        address="local", num_gpus=logical or None, include_dashboard=False, log_to_driver=False
    )
    node = ray.nodes()[0]
    resources = node["Resources"]
    if not resources.get("GPU"):
        raise SystemExit("Ray finds no GPU here")
    per_gpu = resources["CPU"] / resources["GPU"]
    found = [
        measure_gpu_sharing(plan, node["NodeID"], per_gpu, lambda: False, seconds)
        for _ in range(rounds)
    ]
    ray.shutdown()
    return {
        "space": space,
        "device": plan.fixed["hardware.device"],
        "gpu": _gpu_name(),
        "python": platform.python_version(),
        "rounds": [{"gpus_per_trial": p.gpus_per_trial} | p.measured for p in found],
    }


def _gpu_name() -> str | None:
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().splitlines()[0]


def table(rounds: Sequence[Mapping[str, Any]]) -> str:
    """Median and range over the rounds, by the number of trials that share a GPU."""
    lines = ["trials a GPU | steps/s of all | over one"]
    alone = statistics.median(r["steps_per_s"]["1"] for r in rounds)
    numbers = sorted({n for r in rounds for n in r["steps_per_s"]}, key=int)
    for number in numbers:
        rates = [r["steps_per_s"][number] for r in rounds if number in r["steps_per_s"]]
        middle = statistics.median(rates)
        spread = f"{middle:.1f} ({min(rates):.1f} to {max(rates):.1f}), n = {len(rates)}"
        lines.append(f"{number} | {spread} | {middle / alone:.2f}")
    return "\n".join(lines)


def main() -> None:
    """Read the flags, measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", default="finetune")
    parser.add_argument("--cpus-per-trial", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--logical", type=int, default=0, metavar="N")
    parser.add_argument("--out", type=Path, default=Path("gpu_packing.json"))
    flags = parser.parse_args()
    result = measure(flags.space, flags.cpus_per_trial, flags.seconds, flags.rounds, flags.logical)
    flags.out.write_text(json.dumps(result, indent=1) + "\n")
    sys.stdout.write(table(result["rounds"]) + "\n")


if __name__ == "__main__":
    main()
