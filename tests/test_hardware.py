from pathlib import Path

import pytest

from deepsight import hardware
from deepsight.config import HardwareConfig
from deepsight.hardware import (
    choose_hardware,
    cpu_flags,
    cuda_capability,
    has_bf16_units,
    parse_capabilities,
)


def machine(monkeypatch: pytest.MonkeyPatch, capability: float | None, flags: set[str]) -> None:
    monkeypatch.setattr(hardware, "cuda_capability", lambda: capability)
    monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset(flags))


@pytest.mark.parametrize(
    ("capability", "flags", "expected"),
    [
        (None, set(), ("cpu", "fp32", "channels_last")),
        (None, {"avx512_bf16"}, ("cpu", "bf16", "channels_last")),
        (None, {"amx_bf16"}, ("cpu", "bf16", "channels_last")),
        (6.1, {"avx512_bf16"}, ("cuda", "fp32", "contiguous")),
        (7.5, set(), ("cuda", "fp32", "channels_last")),
        (9.0, set(), ("cuda", "bf16", "channels_last")),
    ],
)
def test_choice_for_each_machine(
    monkeypatch: pytest.MonkeyPatch,
    capability: float | None,
    flags: set[str],
    expected: tuple[str, str, str],
) -> None:
    machine(monkeypatch, capability, flags)
    chosen = choose_hardware(HardwareConfig(), 2.0)
    assert (chosen.device, chosen.precision, chosen.memory_format) == expected
    assert chosen.threads == 2


def test_what_was_asked_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 9.0, {"avx512_bf16"})
    asked = HardwareConfig("cpu", "fp32", "channels_last", 3)
    assert choose_hardware(asked, 8.0) == asked


@pytest.mark.parametrize(("cpus", "threads"), [(0.5, 1), (1.0, 1), (1.9, 1), (4.0, 4)])
def test_threads_follow_the_cpus_of_a_trial(cpus: float, threads: int) -> None:
    assert choose_hardware(HardwareConfig(), cpus).threads == threads


def test_hidden_gpus_do_not_count() -> None:
    assert cuda_capability({"CUDA_VISIBLE_DEVICES": ""}) is None
    assert cuda_capability({"CUDA_VISIBLE_DEVICES": "-1"}) is None


def test_the_weakest_gpu_decides() -> None:
    assert parse_capabilities("9.0\n7.5\n") == 7.5
    assert parse_capabilities("") is None
    assert parse_capabilities("No devices were found\n") is None


def test_bf16_that_onednn_may_not_use_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset({"amx_bf16"}))
    assert has_bf16_units({})
    assert has_bf16_units({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"})
    assert not has_bf16_units({"ONEDNN_MAX_CPU_ISA": "avx2"})
    assert not has_bf16_units({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"})


def test_cpu_flags_are_read(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nflags\t\t: fpu sse amx_bf16\n\nflags\t\t: other\n")
    assert cpu_flags(path) == {"fpu", "sse", "amx_bf16"}
    assert cpu_flags(tmp_path / "absent") == frozenset()


def test_the_gpus_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_capabilities", lambda: "9.0\n9.0\n")
    assert hardware.visible_gpus({}) == ["0", "1"]
    assert hardware.visible_gpus({"CUDA_VISIBLE_DEVICES": "1"}) == ["1"]
    assert hardware.visible_gpus({"CUDA_VISIBLE_DEVICES": "-1"}) == []
