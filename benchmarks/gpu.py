"""What one GPU gives, in at most 8 minutes and without a download: a table and a JSON file.

    python benchmarks/gpu.py --out FOLDER            # on a machine with a GPU
    python benchmarks/gpu.py --out FOLDER --tiny --device cpu    # whether the script itself runs

Parts, each a process of its own with a time limit of its own: epoch times, agreement with the CPU,
trials that share the GPU, memory that runs out, a small study through Ray, and what precision,
memory format, resident data and augmentation on the GPU are worth. A part that fails, hangs or
finds no time left costs only itself: it is named in the table, and the exit code is 1.

All that is written lies under ``--out``; but Ray's sockets are in the system's temporary directory
where that path is too long for them, and its shared memory in /dev/shm.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LIMIT_S = 470.0
"""Seconds of the whole: 8 minutes, but for what starting and ending take."""
END_S = 12.0
"""For a part to end after SIGTERM; a search may take 10."""
SOCKET_ROOM = 40
"""Longest path in characters under which Ray's sockets fit into their 107."""


@dataclass(frozen=True)
class Part:
    """One part: a function of ``benchmarks/gpu_parts.py``.

    Attributes:
        name: Of the function.
        limit_s: Seconds after which it is stopped.
        least_s: Seconds that it needs; with less left it is not begun.
    """

    name: str
    limit_s: float
    least_s: float


PARTS = (
    Part("machine", 40, 10),
    Part("data", 60, 10),
    Part("scratch_epoch", 50, 10),
    Part("resnet18_epoch", 70, 20),
    Part("agreement", 50, 15),
    Part("sharing", 110, 40),
    Part("memory", 50, 15),
    Part("study", 150, 30),
    Part("variants", 110, 30),
)
"""In the order in which they run: what matters most comes first."""


def run_part(part: Part, command: Sequence[str], folder: Path, left_s: float) -> dict[str, Any]:
    """Run one part in a process of its own.

    Args:
        part: Its name and limits.
        command: Writes the part's rows, a JSON object a line, to ``<name>.jsonl`` in `folder`.
        folder: Also gets what the part prints, as ``<name>.log``.
        left_s: Seconds that the whole has left.

    Returns:
        ``name``, ``status`` (done, failed, out of time, skipped), ``seconds``, ``error`` and
        ``rows``: also those that a failed part had written.
    """
    result: dict[str, Any] = {"name": part.name, "status": "skipped", "seconds": 0.0, "rows": []}
    if left_s < part.least_s:
        return result | {"error": f"{left_s:.0f} s were left, it needs {part.least_s:.0f}"}
    log = folder / f"{part.name}.log"
    began, limit = time.monotonic(), min(part.limit_s, left_s)
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=output, start_new_session=True
        )
        status, error = _wait(process, limit)
    if status == "failed":
        error = _last_line(log) or error
    rows = folder / f"{part.name}.jsonl"
    found = [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []
    seconds = round(time.monotonic() - began, 1)
    return result | {"status": status, "seconds": seconds, "error": error, "rows": found}


def _wait(process: subprocess.Popen[bytes], limit_s: float) -> tuple[str, str | None]:
    """Status and error of a process that is ended, with all it started, after `limit_s`."""
    try:
        code = process.wait(limit_s)
        return ("failed", f"exit code {code}") if code else ("done", None)
    except subprocess.TimeoutExpired:
        return "out of time", f"stopped after {limit_s:.0f} s"
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_S)


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " ".join(lines[-1].split())[:300] if lines else ""


def run_all(
    parts: Sequence[Part], command: Sequence[str], folder: Path, limit_s: float
) -> list[dict[str, Any]]:
    """Run the parts one after the other; progress goes to standard error."""
    began, results = time.monotonic(), []
    for part in parts:
        left_s = limit_s - (time.monotonic() - began)
        sys.stderr.write(f"{part.name} ...\n")
        results.append(run_part(part, [*command, part.name], folder, left_s))
        error = results[-1].get("error")
        told = f"{results[-1]['status']}, {results[-1]['seconds']:.0f} s"
        sys.stderr.write(f"{part.name}: {told}{f': {error}' if error else ''}\n")
    return results


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """The results as Markdown: a line for every figure, and one for a part that is not done."""
    lines = ["| part | figure | measured | aim |", "|---|---|---|---|"]
    for result in results:
        for row in result["rows"]:
            spread = f" ({row['low']:.4g} to {row['high']:.4g})" if row["n"] > 1 else ""
            value = row["value"]
            shown = f"{value:.4g}" if isinstance(value, int | float) else str(value)
            count = f", n = {row['n']}" if isinstance(value, int | float) else ""
            unit = f" {row['unit']}" if row["unit"] else ""
            aim = f"{row['aim']} ({'met' if row['met'] else 'missed'})" if row["aim"] else ""
            cells = (result["name"], row["figure"], f"{shown}{unit}{spread}{count}", aim)
            lines.append("| " + " | ".join(str(c).replace("|", "/") for c in cells) + " |")
        if result["status"] != "done":
            error = str(result["error"]).replace("|", "/")
            lines.append(f"| {result['name']} | **{result['status']}** | {error} | |")
    return "\n".join(lines) + "\n"


def environment(out: Path) -> dict[str, str]:
    """Variables by which all that is written goes to `out`."""
    temporary = out / "tmp"
    found = {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.getenv("PYTHONPATH"))))}
    found |= {"PYTHONDONTWRITEBYTECODE": "1", "DEEPSIGHT_CACHE": str(out / "cache")}
    for name in ("CUDA_CACHE_PATH", "MPLCONFIGDIR", "TRITON_CACHE_DIR", "XDG_CACHE_HOME"):
        found[name] = str(temporary)
    if len(str(temporary)) <= SOCKET_ROOM:
        found["TMPDIR"] = str(temporary)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the flags, run the parts, print the table; 1 if a part is missing."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for all that is written")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small sizes: shows that it runs")
    parser.add_argument("--parts", default=",".join(part.name for part in PARTS))
    parser.add_argument("--limit", type=float, default=LIMIT_S, metavar="SECONDS")
    flags = parser.parse_args(arguments)
    wanted = flags.parts.split(",")
    unknown = set(wanted) - {part.name for part in PARTS}
    if unknown:
        parser.error(
            f"no part {', '.join(sorted(unknown))}; there are {parser.get_default('parts')}"
        )
    out = flags.out.resolve()
    (out / "tmp").mkdir(parents=True, exist_ok=True)
    os.environ.update(environment(out))
    command = [sys.executable, "-m", "benchmarks.gpu_parts", "--device", flags.device]
    command += ["--out", str(out), *(["--tiny"] if flags.tiny else [])]
    for stale in out.glob("*.jsonl"):
        stale.unlink()
    # whoever tries the script has time, and maybe a busy machine
    limit_s = flags.limit if flags.tiny else 0.0
    parts = [replace(p, limit_s=max(p.limit_s, limit_s)) for p in PARTS if p.name in wanted]
    began = time.monotonic()
    results = run_all(parts, command, out, flags.limit)
    whole = {
        "device": flags.device,
        "tiny": flags.tiny,
        "seconds": round(time.monotonic() - began, 1),
        "parts": results,
    }
    (out / "gpu.json").write_text(json.dumps(whole, indent=1) + "\n")
    (out / "gpu.md").write_text(table(results))
    sys.stdout.write(table(results))
    return int(any(result["status"] != "done" for result in results))


if __name__ == "__main__":
    sys.exit(main())
