"""How much of a search is training, and how much faster it is than a tutorial's search.

    python benchmarks/search_efficiency.py [--rounds 3] [--experiment NAME | --space NAME]
        [--trials N] [--max-epochs N] [--json FILE]

Runs a study, by default the quickstart, and a peer (`peer_ray_tutorial.py`) in turn, each as a
process of its own from start to exit, with data and weights made beforehand, and prints for both:
trained images per second of wall time, epochs a minute, seconds from the start of the process to
the first epoch on record, and the largest memory of the whole process tree (proportional set size:
shared pages count once). For ours also the productive share: time inside training and validation
steps over cores times wall time. ``--cold`` adds one run of ours with an empty cache, pretraining
included.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from deepsight.run_store import load_study

HERE = Path(__file__).parent
CORES = len(os.sched_getaffinity(0))


def watch(command: Sequence[str], folder: Path, environment: dict[str, str]) -> dict[str, float]:
    """Run a command to its end; wall seconds and the process tree's largest memory."""
    start = time.time()
    log = (folder / "log.txt").open("w")
    process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, tree_memory(process.pid))
        time.sleep(1.0)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{(folder / 'log.txt').read_text()[-3000:]}")
    return {"start": start, "wall_s": time.time() - start, "memory_gb": peak / 1e9}


def tree_memory(pid: int) -> float:
    """Proportional set size in bytes of a process and all below it."""
    total = 0.0
    try:
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            try:
                total += process.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
    except psutil.NoSuchProcess:
        pass
    return total


def what_to_run(args: argparse.Namespace) -> list[str]:
    """The study as options of `deepsight.tune`, which the peer understands, too."""
    options = ["--space", args.space] if args.space else ["--experiment", args.experiment]
    if args.trials:
        options += ["--trials", str(args.trials)]
    if args.max_epochs:
        options += ["--set", f"study.max_epochs={args.max_epochs}"]
    return options


def run_ours(args: argparse.Namespace, seed: int, cache: str | None = None) -> dict[str, Any]:
    """One study of ours."""
    with tempfile.TemporaryDirectory(prefix="ours-", ignore_cleanup_errors=True) as folder:
        return _ours_in(Path(folder), args, seed, cache)


def _ours_in(
    folder: Path, args: argparse.Namespace, seed: int, cache: str | None
) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "deepsight.tune",
        *what_to_run(args),
        "--name",
        "bench",
        "--set",
        f"study.seed={seed}",
    ]
    environment = os.environ | ({"DEEPSIGHT_CACHE": cache} if cache else {})
    seen = watch(command, folder, environment)
    study = load_study(folder / "runs" / "bench")
    rows = [row for record in study.records for row in record.rows]
    images = sum(study.header.data["counts"]["train"].values())
    best = study.incumbent()
    return {
        "who": "ours",
        "seed": seed,
        "trials": len(study.records),
        "epochs": len(rows),
        "wall_s": seen["wall_s"],
        "memory_gb": seen["memory_gb"],
        "images_per_s": images * len(rows) / seen["wall_s"],
        "epochs_per_min": 60 * len(rows) / seen["wall_s"],
        "startup_s": min(row["time"] for row in rows) - seen["start"],
        "productive_share": sum(r["busy_s"] for r in rows) / (CORES * seen["wall_s"]),
        "first_epoch_s": min(rows, key=lambda row: row["time"])["wall_s"],
        "best": study.score(best) if best else None,
        "images": images,
        "states": {
            s: sum(r.state == s for r in study.records) for s in {r.state for r in study.records}
        },
    }


def run_peer(args: argparse.Namespace, seed: int, images: int) -> dict[str, Any]:
    """One study of the peer, which keeps gigabytes of checkpoints until it is removed."""
    with tempfile.TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True) as folder:
        return _peer_in(Path(folder), args, seed, images)


def _peer_in(folder: Path, args: argparse.Namespace, seed: int, images: int) -> dict[str, Any]:
    out = folder / "peer.json"
    command = [
        sys.executable,
        str(HERE / "peer_ray_tutorial.py"),
        str(seed),
        str(out),
        *what_to_run(args),
    ]
    seen = watch(command, folder, dict(os.environ))
    told = json.loads(out.read_text())
    return {
        "who": "peer",
        "seed": seed,
        "trials": told["trials"],
        "epochs": told["epochs"],
        "wall_s": seen["wall_s"],
        "memory_gb": seen["memory_gb"],
        "errors": told["errors"],
        "images_per_s": images * told["epochs"] / seen["wall_s"],
        "epochs_per_min": 60 * told["epochs"] / seen["wall_s"],
        "best": told["best"],
    }


COLUMNS = (
    "trials",
    "epochs",
    "wall_s",
    "images_per_s",
    "epochs_per_min",
    "startup_s",
    "productive_share",
    "memory_gb",
    "best",
)


def show(runs: Sequence[dict[str, Any]]) -> None:
    """Print a line a run and the medians."""
    print(f"{'run':14}" + "".join(f"{c:>17}" for c in COLUMNS))
    for run in runs:
        cells = (run.get(c) for c in COLUMNS)
        texts = (
            "-" if v is None else f"{v:.3f}" if isinstance(v, float) else str(v) for v in cells
        )
        print(f"{run['who']} {run['seed']:<9}" + "".join(f"{t:>17}" for t in texts), flush=True)


def main() -> None:
    """Alternate ours and the peer, then sum up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--from-seed", type=int, default=0, help="of the first round")
    parser.add_argument("--experiment", default="quickstart")
    parser.add_argument("--space", help="instead of an experiment")
    parser.add_argument("--trials", type=int, help="default: the study's own")
    parser.add_argument("--max-epochs", type=int, help="default: the study's own")
    parser.add_argument("--cold", action="store_true", help="add a run of ours with no cache")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--json", type=Path, default=Path("search_efficiency.json"))
    args = parser.parse_args()
    runs: list[dict[str, Any]] = []
    ratios: list[float] = []
    warm_up(args)
    for seed in range(args.from_seed, args.from_seed + args.rounds):
        ours = run_ours(args, seed)
        runs.append(ours)
        show([ours])
        if not args.no_peer:
            peer = run_peer(args, seed, ours["images"])
            runs.append(peer)
            show([peer])
            ratios.append(ours["images_per_s"] / peer["images_per_s"])
        keep(args.json, runs, ratios)
    if args.cold:
        cold = run_ours(args, 0, tempfile.mkdtemp(prefix="cache-")) | {"who": "cold"}
        runs.append(cold)
        show([cold])
    mine = [r for r in runs if r["who"] == "ours"]
    for name in (
        "images_per_s",
        "epochs_per_min",
        "startup_s",
        "productive_share",
        "memory_gb",
        "wall_s",
    ):
        values = [r[name] for r in mine]
        print(
            f"ours {name}: median {statistics.median(values):.3f}"
            f" ({min(values):.3f} to {max(values):.3f}, n={len(values)})"
        )
    if ratios:
        print(
            f"trained images per second, ours over the peer's: median "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, "
            f"n={len(ratios)} pairs)"
        )
    keep(args.json, runs, ratios)


def keep(path: Path, runs: Sequence[dict[str, Any]], ratios: Sequence[float]) -> None:
    """Write what was measured, after every round: a long benchmark may be stopped."""
    path.write_text(json.dumps({"cores": CORES, "runs": runs, "ratios": ratios}, indent=1))


def warm_up(args: argparse.Namespace) -> None:
    """Make data and weights, so that neither side pays for them."""
    from deepsight.tune.plan_files import plan_study
    from deepsight.tune.preflight import prepare_all

    prepare_all(plan_study(args.space, None if args.space else args.experiment, "warm"))


if __name__ == "__main__":
    main()
