"""Device, precision, memory format and threads, chosen from the machine. Light: no torch."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deepsight.config import HardwareConfig

EVALUATION_BATCH = {"cpu": 256, "cuda": 1024}
"""Images at a time, by device, where nothing is learnt: as many as stay in the caches, or fill the
GPU."""
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
"""CPU flags of bfloat16 dot products; without them bf16 is emulated and slower than fp32."""
WITHOUT_BF16 = frozenset(
    {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}
)
"""Values of ONEDNN_MAX_CPU_ISA that keep oneDNN, which computes the convolutions, from these."""
BF16_CAPABILITY = 8.0
"""First CUDA compute capability (Ampere) with bfloat16 tensor cores."""
TENSOR_CORES = 7.0
"""First CUDA compute capability (Volta) with tensor cores, which want channels_last."""


def choose_hardware(config: HardwareConfig, cpus_per_trial: float) -> HardwareConfig:
    """`config` with every "auto" (and 0 threads) replaced by what suits this machine.

    On a CPU channels_last is the faster format in either precision (docs/training.md).

    Args:
        config: What was asked; whatever is not "auto" stays.
        cpus_per_trial: CPU cores of one trial, possibly a fraction.
    """
    capability = cuda_capability()
    device = config.device
    if device == "auto":
        device = "cpu" if capability is None else "cuda"
    if device == "cuda":
        fast_bf16 = (capability or 0.0) >= BF16_CAPABILITY
        fast_channels_last = (capability or 0.0) >= TENSOR_CORES
    else:
        fast_bf16 = has_bf16_units()
        fast_channels_last = True
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if fast_bf16 else "fp32"
    memory_format = config.memory_format
    if memory_format == "auto":
        memory_format = "channels_last" if fast_channels_last else "contiguous"
    return dataclasses.replace(
        config,
        device=device,
        precision=precision,
        memory_format=memory_format,
        threads=config.threads or max(1, int(cpus_per_trial)),
    )


def has_bf16_units(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the CPU computes in bfloat16, and nobody told oneDNN to leave that alone."""
    allowed = environment.get("ONEDNN_MAX_CPU_ISA", "").upper() not in WITHOUT_BF16
    return allowed and bool(BF16_FLAGS & cpu_flags())


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The instruction sets of the CPU; empty where the file does not exist."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def cuda_capability(environment: Mapping[str, str] = os.environ) -> float | None:
    """The smallest compute capability of the visible GPUs; None if torch will see none."""
    if environment.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1"):
        return None
    return None if _torch_without_cuda() else parse_capabilities(_capabilities())


def parse_capabilities(text: str) -> float | None:
    """The smallest number among the lines that `nvidia-smi` printed; None without any."""
    numbers = [line.strip() for line in text.splitlines()]
    found = [float(n) for n in numbers if n.replace(".", "", 1).isdigit()]
    return min(found, default=None)


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    found = [line for line in _capabilities().splitlines() if line.strip()]
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return [str(number) for number in range(len(found))]
    return [part.strip() for part in named.split(",") if part.strip() not in ("", "-1")]


def gpu_memory(environment: Mapping[str, str] = os.environ) -> tuple[int, int] | None:
    """Used and total bytes of the first visible GPU; None if nvidia-smi does not say."""
    first = environment.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0].strip() or "0"
    return parse_memory(_ask_driver("memory.used,memory.total", f"--id={first}"))


def parse_memory(text: str) -> tuple[int, int] | None:
    """Bytes from the first line that `nvidia-smi` printed (``512 MiB, 81559 MiB``)."""
    numbers = [part.strip().partition(" ")[0] for part in text.partition("\n")[0].split(",")]
    if len(numbers) != 2 or not all(n.isdigit() for n in numbers):
        return None
    return int(numbers[0]) * 2**20, int(numbers[1]) * 2**20


@functools.lru_cache(maxsize=1)
def _capabilities() -> str:
    return _ask_driver("compute_cap")


def _ask_driver(query: str, *options: str) -> str:
    """What `nvidia-smi` says of the GPUs; nothing where there is none."""
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader", *options]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout


@functools.lru_cache(maxsize=1)
def _torch_without_cuda() -> bool:
    """Whether the installed torch is a CPU build, told by its version (``2.15.0+cpu``)."""
    try:
        return importlib.metadata.version("torch").endswith("+cpu")
    except importlib.metadata.PackageNotFoundError:
        return True
