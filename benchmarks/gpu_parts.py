"""The parts of ``benchmarks/gpu.py``; each runs in a process of its own.

python -m benchmarks.gpu_parts --device cuda --out FOLDER PART
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_record import RESNET18, Record
from deepsight.config import UserError, Value, trial_config
from deepsight.data.datasets import load_dataset
from deepsight.training import batches
from deepsight.training.step_benchmark import StepBenchmark
from deepsight.training.trial import train_trial
from deepsight.tune.ray_backend.gpu_sharing import numbers_to_try
from deepsight.tune.ray_backend.trial_errors import describe_error

GPU_LEFT = 2 * 2**30
"""Bytes of a GPU that are left free before memory is made to run out."""
HOST_LEFT = 200 * 2**20
"""The same of a process's address space, on a CPU."""
ACCURACY_TOLERANCE, LOSS_TOLERANCE = 0.01, 0.01
"""Largest difference between devices after an epoch in fp32: of the accuracy; share of the loss."""


def machine(record: Record) -> None:
    """The card, versions, and what it does at best: matrix products, copies, small kernels."""
    record.put("machine", f"{platform.machine()}, Python {platform.python_version()}")
    record.put("torch", f"{torch.__version__}, CUDA {torch.version.cuda}")
    if record.device == "cuda":
        found = torch.cuda.get_device_properties(0)
        record.put("GPU", f"{found.name}, capability {found.major}.{found.minor}")
        record.put("memory", found.total_memory / 2**30, "GiB")
    side = record.sizes.matrix
    matrix = torch.randn(side, side, device=record.device, dtype=torch.bfloat16)
    seconds = _timed(record, lambda: matrix @ matrix, 10)
    record.put("bf16 matrix product", [2 * side**3 / s / 1e12 for s in seconds], "TFLOP/s")
    copy = torch.empty_like(matrix)
    seconds = _timed(record, lambda: copy.copy_(matrix), 10)
    record.put("copy, read and write", [4 * side**2 / s / 1e9 for s in seconds], "GB/s")
    small = torch.zeros(1, device=record.device)
    seconds = _timed(record, lambda: small.add_(1), 1000)
    record.put("a kernel of one number", [1e6 * s for s in seconds], "us")


def _timed(record: Record, work: Callable[[], object], number: int) -> list[float]:
    """Seconds of one call, the mean of `number`, for each of `rounds` after one to warm up."""
    found = []
    for _ in range(record.sizes.rounds + 1):
        _synchronise(record)
        began = time.perf_counter()
        for _ in range(number):
            work()
        _synchronise(record)
        found.append((time.perf_counter() - began) / number)
    return found[1:]


def _synchronise(record: Record) -> None:
    if record.device == "cuda":
        torch.cuda.synchronize()


def data(record: Record) -> None:
    """Make and pack the images."""
    began = time.perf_counter()
    dataset = load_dataset(trial_config(record.flat("scratch_cnn")).data)
    record.put("make and pack", time.perf_counter() - began, "s")
    record.put("images to train on", len(dataset.train.labels))


def scratch_epoch(record: Record) -> None:
    """Epochs of the default scratch CNN."""
    _epochs(record, "scratch_cnn", 0.1)


def resnet18_epoch(record: Record) -> None:
    """Epochs of ResNet18 with CIFAR's stem."""
    _epochs(record, "resnet18_cifar", 1.0)


def _epochs(record: Record, network: str, aim_s: float) -> None:
    config = trial_config(record.flat(network, train__epochs=record.sizes.epochs + 1))
    rows = [result.metrics for result in train_trial(config)]
    first, *later = rows
    record.put(
        f"training pass, batch {config.optim.batch_size}", _passes(record, later), "s", aim_s
    )
    record.put("the same with validation and metrics", [row["wall_s"] for row in later], "s")
    record.put("first epoch", first["wall_s"], "s")
    record.put("validation accuracy at the end (chance 0.1)", rows[-1]["val_accuracy"])
    if record.device == "cuda":
        record.put("most memory of tensors", torch.cuda.max_memory_allocated() / 2**30, "GiB")


def _passes(record: Record, rows: Sequence[Mapping[str, Any]]) -> list[float]:
    return [record.sizes.images / row["images_per_s"] for row in rows]


def agreement(record: Record) -> None:
    """An epoch on the CPU in fp32, and on the device: in fp32 as told, in bf16 as it comes."""
    torch.backends.cudnn.allow_tf32 = False
    size = min(record.sizes.images, 5_000)
    told: dict[str, Value] = {
        "data__size": size,
        "optim__batch_size": 128,
        "optim__name": "sgd",
        "optim__lr": 0.01,
        "model__dropout": 0.0,  # drawn on the device
        "train__epochs": 1,
    }
    found = {}
    for device, precision in (("cpu", "fp32"), (record.device, "fp32"), (record.device, "bf16")):
        hardware: dict[str, Value] = {"hardware__device": device, "hardware__precision": precision}
        config = trial_config(record.flat("scratch_cnn", **told, **hardware))
        (result,) = train_trial(config)
        found[device, precision] = result.metrics
    cpu = found["cpu", "fp32"]
    for precision, share in (("fp32", 1), ("bf16", 3)):
        row = found[record.device, precision]
        loss = abs(row["val_loss"] / cpu["val_loss"] - 1)
        accuracy = abs(row["val_accuracy"] - cpu["val_accuracy"])
        record.put(f"{precision}: difference of loss", loss, "of it", share * LOSS_TOLERANCE)
        record.put(f"{precision}: of accuracy", accuracy, "", share * ACCURACY_TOLERANCE)
        if loss > share * LOSS_TOLERANCE or accuracy > share * ACCURACY_TOLERANCE:
            raise SystemExit(f"{precision}: {record.device} and the CPU in fp32 disagree")


def sharing(record: Record) -> None:
    """Joint steps per second of 1, 2, 4, ... trials at a time, each in a process of its own."""
    for network in ("resnet18", "scratch_cnn"):
        flat = record.flat(network, optim__batch_size=64)
        command = [sys.executable, "-m", "benchmarks.gpu_parts", "--steps", json.dumps(flat)]
        with _steppers(command, record.sizes.sharing) as steppers:
            alone = 0.0
            for number in numbers_to_try(record.sizes.sharing):
                rates = [
                    _joint(steppers[:number], record.sizes.seconds)
                    for _ in range(record.sizes.rounds)
                ]
                alone = alone or statistics.median(rates)
                record.put(f"{network}: {number} at a time", rates, "steps/s")
                aim = 3.0 if number >= 4 else None
                over = [rate / alone for rate in rates]
                record.put(f"{network}: {number} over one at a time", over, "", least=aim)


@contextmanager
def _steppers(command: Sequence[str], number: int) -> Iterator[list[subprocess.Popen[str]]]:
    """So many processes of `steps`, ready."""
    pipe = subprocess.PIPE
    running = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(number)]
    try:
        for stepper in running:
            if _answer(stepper) != "ready":
                raise SystemExit("a process that trains did not start")
        yield running
    finally:
        for stepper in running:
            stepper.kill()
            stepper.communicate()


def _joint(steppers: Sequence[subprocess.Popen[str]], seconds: float) -> float:
    for stepper in steppers:
        assert stepper.stdin is not None
        stepper.stdin.write(f"{seconds}\n")
        stepper.stdin.flush()
    return sum(float(_answer(stepper)) for stepper in steppers)


def _answer(stepper: subprocess.Popen[str]) -> str:
    assert stepper.stdout is not None
    line = stepper.stdout.readline().strip()
    if not line:
        raise SystemExit("a process that trains ended")
    return line


def steps(flat: Mapping[str, Value]) -> None:
    """Train steps of a config for as many seconds as each line of standard input says."""
    trial = StepBenchmark(trial_config(flat), 1.0)
    trial.warm()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(f"{trial.run(float(line))}\n")
        sys.stdout.flush()


def memory(record: Record) -> None:
    """Let memory run out: the trial is told as the record tells it, and the next one trains."""
    flat = record.flat("resnet18_cifar", optim__batch_size=record.sizes.images, train__epochs=1)
    flat |= RESNET18 | {"model.stem": "cifar"}
    next(train_trial(trial_config(record.flat("scratch_cnn"))))  # what a process keeps is there
    text = ""
    with _scarce(record.device):
        try:
            next(train_trial(trial_config(flat)))
        except (RuntimeError, MemoryError) as error:
            text = describe_error(error, flat)
    record.put("recorded", text or "nothing: the trial found room")
    if not text.startswith(f"out of memory at batch size {record.sizes.images}"):
        raise SystemExit("running out of memory is not told as that")
    gc.collect()
    if record.device == "cuda":
        torch.cuda.empty_cache()
    row = next(train_trial(trial_config(record.flat("scratch_cnn")))).metrics
    record.put("the next trial in this process", f"{row['epoch']} epoch trained")


@contextmanager
def _scarce(device: str) -> Iterator[None]:
    """Little memory inside."""
    if device == "cuda":
        free, _ = torch.cuda.mem_get_info()
        ballast = torch.empty(max(0, free - GPU_LEFT), dtype=torch.uint8, device=device)
        yield
        del ballast
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    now = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + HOST_LEFT, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def study(record: Record) -> None:
    """A small search by the command line, trials sharing the GPU as the product decides."""
    from deepsight.run_store import load_study

    flat = record.flat("scratch_cnn") | {
        "resources.gpus_per_trial": "auto",
        "study.trials": 3 if record.tiny else 12,
        "study.max_epochs": 2 if record.tiny else 9,
    }
    del flat["optim.batch_size"]
    command = [sys.executable, "-m", "deepsight.tune", "--space", "scratch_full", "--name", "small"]
    for name, value in flat.items():
        command += ["--set", f"{name}={json.dumps(value) if value != str(value) else value}"]
    folder = _fresh(record.out / "study")
    began = time.perf_counter()
    with (folder / "progress.txt").open("w+") as progress:
        done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=progress)
        progress.seek(0)
        told = progress.read().strip()
    record.put("whole command", time.perf_counter() - began, "s")
    if done.returncode:
        last = told.splitlines()[-1:] or [""]
        raise SystemExit(f"deepsight.tune ended with exit code {done.returncode}: {last[0]}")
    found = load_study(folder / "runs" / "small")
    rows = [row for trial in found.records for row in trial.rows]
    header = found.header.resources
    record.put("trials that failed", sum(t.state == "failed" for t in found.records), "", most=0)
    record.put("trials", len(found.records))
    record.put("epochs", len(rows))
    record.put("trials at a time", header["slots"])
    if "measured" in header:
        record.put("steps/s by trials at a time", json.dumps(header["measured"]["steps_per_s"]))
    span = max(row["time"] for row in rows) - min(trial.started for trial in found.records)
    busy = sum(row["busy_s"] for row in rows) / (header["slots"] * span)
    record.put("share of the search inside steps", busy)


def _fresh(folder: Path) -> Path:
    """A new empty folder; what was there is kept beside it."""
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}-{time.time_ns()}"))
    folder.mkdir()
    return folder


VARIANTS: dict[str, dict[str, Value]] = {
    "as chosen": {},
    "without CUDA graphs": {"hardware__cuda_graphs": False},
    "fp32": {"hardware__precision": "fp32"},
    "contiguous": {"hardware__memory_format": "contiguous"},
    "images on the host": {},
    "augmented on the CPU": {"augment__backend": "albumentations"},
    "not augmented": {"augment__strength": 0.0, "augment__flip": False},
    "batch 128": {"optim__batch_size": 128},
    "batch 4096": {"optim__batch_size": 4096},
}


def variants(record: Record) -> None:
    """Images per second of variants, and how often a step waits for the GPU."""
    resident = batches.RESIDENT_SHARE
    for network in ("scratch_cnn", "resnet18_cifar"):
        for name, changes in VARIANTS.items():
            batches.RESIDENT_SHARE = 0.0 if name == "images on the host" else resident
            config = trial_config(record.flat(network, **changes))
            try:
                trial = StepBenchmark(config, 1.0)
                trial.warm()
                rounds = range(record.sizes.rounds)
                size = min(config.optim.batch_size, record.sizes.images)
                rates = [size * trial.run(record.sizes.seconds / 2) for _ in rounds]
            except (ImportError, RuntimeError) as error:  # a library or memory: the others go on
                record.put(f"{network}: {name}", describe_error(error, {}))
                continue
            record.put(f"{network}: {name}", rates, "images/s")
            if record.device == "cuda":
                waits = _waits(trial, record.sizes.seconds / 4)
                record.put(f"{network}: {name}: waits a step", waits)


def _waits(trial: StepBenchmark, seconds: float) -> float:
    """Operations a step that wait for the GPU, as torch warns of them."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        began = time.perf_counter()
        rate = trial.run(seconds)
        done = rate * (time.perf_counter() - began)
        torch.cuda.set_sync_debug_mode("default")
    return len([w for w in told if "called a synchronizing" in str(w.message)]) / done


PARTS: dict[str, Callable[[Record], None]] = {
    function.__name__: function
    for function in (
        machine,
        data,
        scratch_epoch,
        resnet18_epoch,
        agreement,
        sharing,
        memory,
        study,
        variants,
    )
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one part, or the steps of a trial."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", nargs="?", choices=PARTS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--steps")
    flags = parser.parse_args(arguments)
    if flags.steps:
        steps(json.loads(flags.steps))
        return
    if flags.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch finds no GPU on this machine")
    try:
        PARTS[flags.part](Record(flags.device, flags.tiny, flags.out, flags.part))
    except UserError as error:
        raise SystemExit(f"{error.cause} {error.remedy}") from error


if __name__ == "__main__":
    main()
