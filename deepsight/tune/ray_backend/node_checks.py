"""Checks the nodes of a joined cluster: same versions, same hardware, shared directories.

A task on every node reads what the driver wrote into each shared directory and writes a file for
the driver to read; it also returns versions and hardware. A problem is reported with its node
before the first epoch, instead of as trials that fail one by one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from deepsight.config import HardwareConfig
from deepsight.run_store import StorageError, storage_error
from deepsight.tune.preflight import PACKAGES
from deepsight.tune.ray_backend.start import ClusterError

ANSWER_S = 90.0
"""Seconds for a node to start a process and to check; a busy one takes a while."""
SEEN_S = 15.0
"""Seconds until a node's file is visible to the driver: network file systems cache for seconds."""
FROM_DRIVER = "driver"
"""File in a shared directory that the driver writes."""


@dataclass(frozen=True)
class Shared:
    """A directory that all nodes must see."""

    what: str
    path: Path
    remedy: str


@dataclass(frozen=True)
class Node:
    """A node that can run trials, with the answer of its task."""

    node_id: str
    name: str
    """Host, address and the beginning of the id, for people."""
    cpus: float
    gpus: float
    answer: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def hardware(self) -> HardwareConfig:
        """What `choose_hardware` made of this node."""
        return HardwareConfig(**self.answer["hardware"])


def usable_nodes(cpus_per_trial: float) -> list[Node]:
    """The living nodes on which a trial fits, by their CPUs.

    Raises:
        ClusterError: If there is none.
    """
    nodes = []
    for entry in ray.nodes():
        resources = entry["Resources"]
        if entry["Alive"] and resources.get("CPU", 0.0) + 1e-9 >= cpus_per_trial:
            place = f"{entry['NodeManagerAddress']}, {entry['NodeID'][:8]}"
            nodes.append(
                Node(
                    entry["NodeID"],
                    f"{entry['NodeManagerHostname']} ({place})",
                    resources["CPU"],
                    resources.get("GPU", 0.0),
                )
            )
    if not nodes:
        raise ClusterError(
            f"no node of the cluster has the {cpus_per_trial:g} CPUs of a trial.",
            "Start one (with an autoscaler, min_workers: 1), or lower resources.cpus_per_trial.",
        )
    return nodes


def ask_nodes(
    nodes: Sequence[Node],
    shared: Sequence[Shared],
    paths: Sequence[str],
    hardware: HardwareConfig,
    cpus_per_trial: float,
) -> list[Node]:
    """Run the checking task on every node.

    Args:
        nodes: From `usable_nodes`.
        shared: Directories that the driver and all nodes read and write; they exist here.
        paths: Files and directories that all nodes read.
        hardware: What was asked for.
        cpus_per_trial: CPU cores of one trial.

    Returns:
        The nodes with their answers.

    Raises:
        ClusterError: If a node does not answer or has other versions.
        StorageError: If a node and the driver do not see the same files.
    """
    with contextlib.ExitStack() as probes:
        places = {s.path: probes.enter_context(_probe(s.path)) for s in shared}
        answered = _ask(nodes, list(places.values()), paths, hardware, cpus_per_trial)
        require_same_versions(answered, own_versions())
        require_sight(answered, shared, places, paths)
    return answered


@contextlib.contextmanager
def _probe(directory: Path) -> Iterator[Path]:
    """A new directory in `directory` with the driver's file in it."""
    try:
        place = Path(tempfile.mkdtemp(prefix=".deepsight-", dir=directory))
    except OSError as error:
        raise storage_error(directory, error) from error
    try:
        place.chmod(0o777)  # on a node another user may run the trials
        (place / FROM_DRIVER).write_text(secrets.token_hex(16))
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _ask(
    nodes: Sequence[Node],
    places: Sequence[Path],
    paths: Sequence[str],
    hardware: HardwareConfig,
    cpus_per_trial: float,
) -> list[Node]:
    look = ray.remote(num_cpus=0, max_retries=0)(make_look())
    given = [str(p) for p in places], list(paths), list(PACKAGES), cpus_per_trial
    asked = {}
    for node in nodes:
        kept = hardware if node.gpus else dataclasses.replace(hardware, device="cpu")
        stay = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
        task = look.options(scheduling_strategy=stay)
        asked[task.remote(node.node_id, *given, dataclasses.asdict(kept))] = node
    waiting, deadline = list(asked), time.monotonic() + ANSWER_S
    answered = []
    while waiting:
        done, waiting = ray.wait(waiting, timeout=0.5)
        for reference in done:
            answered.append(_take(asked[reference], reference))
        if waiting and time.monotonic() > deadline:
            raise ClusterError(
                f"node {asked[waiting[0]].name} has not answered for {ANSWER_S:.0f} s.",
                "Check it (ray status on its machine), or remove it from the cluster.",
            )
    return sorted(answered, key=lambda n: [m.node_id for m in nodes].index(n.node_id))


def _take(node: Node, reference: Any) -> Node:
    try:
        answer = json.loads(ray.get(reference))
    except Exception as error:  # whatever Ray makes of a task that could not run there
        reason = str(error).strip().splitlines()[-1][:300]
        raise ClusterError(
            f"node {node.name} cannot run a task: {reason}.",
            "Install the same Python, Ray and DeepSight there as here.",
        ) from error
    return dataclasses.replace(node, answer=answer)


def make_look() -> Callable[..., str]:
    """The task. A function within a function, for Ray sends that whole: it needs no DeepSight."""

    def look(
        node_id: str,
        places: list[str],
        paths: list[str],
        packages: list[str],
        cpus_per_trial: float,
        hardware: dict[str, Any],
    ) -> str:
        import hashlib
        import importlib.metadata
        import importlib.util
        import json
        import pathlib
        import platform

        seen: dict[str, dict[str, str]] = {}
        for place in map(pathlib.Path, places):
            try:
                token = (place / "driver").read_text()
                (place / node_id).write_text(token)
                seen[str(place)] = {"token": token}
            except OSError as error:
                seen[str(place)] = {"error": f"{type(error).__name__}: {error.strerror}"}
        there = {path: pathlib.Path(path).exists() for path in paths}
        answer: dict[str, Any] = {"seen": seen, "paths": there, "versions": {}}
        answer["versions"]["python"] = platform.python_version()
        for package in packages:
            try:
                answer["versions"][package] = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                answer["versions"][package] = None
        spec = importlib.util.find_spec("deepsight")
        answer["versions"]["deepsight"] = None
        if spec is not None and spec.origin:
            root, digest = pathlib.Path(spec.origin).parent, hashlib.sha256()
            for file in sorted(root.rglob("*.py")):
                digest.update(file.relative_to(root).as_posix().encode() + file.read_bytes())
            answer["versions"]["deepsight"] = digest.hexdigest()[:12]
            import dataclasses

            from deepsight.config import HardwareConfig
            from deepsight.hardware import choose_hardware

            chosen = choose_hardware(HardwareConfig(**hardware), cpus_per_trial)
            answer["hardware"] = dataclasses.asdict(chosen)
        return json.dumps(answer)

    return look


def own_versions() -> dict[str, str | None]:
    """What the nodes' versions must equal; DeepSight's is a hash of its source."""
    answer = make_look()("", [], [], list(PACKAGES), 1.0, {"device": "cpu"})
    versions: dict[str, str | None] = json.loads(answer)["versions"]
    return versions


def require_same_versions(nodes: Sequence[Node], own: Mapping[str, str | None]) -> None:
    """Refuse a node whose libraries are not the driver's (of Python the patch may differ).

    Raises:
        ClusterError: Naming the node and all that differs on it.
    """
    for node in nodes:
        differences = []
        for package, here in own.items():
            there = node.answer["versions"].get(package)
            pair = (here, there)
            if package == "python":
                pair = tuple(str(v).rpartition(".")[0] for v in pair)  # type: ignore[assignment]
            if pair[0] != pair[1]:
                kind = "source " if package == "deepsight" and there else ""
                differences.append(
                    f"{package} {kind}{there or 'missing'} (here {kind}{here or 'missing'})"
                )
        if differences:
            raise ClusterError(
                f"node {node.name} has other versions: {', '.join(differences)}.",
                "Install the same on every node: one image, or pip install -c constraints.txt.",
            )


def require_sight(
    nodes: Sequence[Node],
    shared: Sequence[Shared],
    places: Mapping[Path, Path],
    paths: Sequence[str],
) -> None:
    """Refuse a node that does not see what the driver wrote, or whose files the driver misses.

    Raises:
        StorageError: Naming the node, the directory and the reason.
    """
    for node in nodes:
        for directory in shared:
            place = places[directory.path]
            token = (place / FROM_DRIVER).read_text()
            seen = node.answer["seen"][str(place)]
            if seen.get("token") != token:
                reason = seen.get("error", "it reads something else than the driver wrote")
            elif not _shows_up(place / node.node_id, token):
                reason = "the driver does not see what the node writes there"
            else:
                continue
            raise StorageError(
                f"node {node.name} does not share the {directory.what} {directory.path}: {reason}.",
                directory.remedy,
            )
        for path in paths:
            if not node.answer["paths"][path]:
                raise StorageError(
                    f"node {node.name} does not see {path}.",
                    "Put it on storage that every node mounts at the same path.",
                )


def _shows_up(path: Path, token: str) -> bool:
    deadline = time.monotonic() + SEEN_S
    while True:
        with contextlib.suppress(OSError):
            if path.read_text() == token:
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)


def common_hardware(nodes: Sequence[Node]) -> HardwareConfig:
    """What every node that will run trials can do: the same for all, so that scores compare.

    A GPU is used where a node has one, and then only nodes with one run trials.
    """
    chosen = [node.hardware for node in nodes]
    device = "cuda" if any(h.device == "cuda" for h in chosen) else "cpu"
    chosen = [h for h in chosen if h.device == device]
    bf16 = all(h.precision == "bf16" for h in chosen)
    channels_last = all(h.memory_format == "channels_last" for h in chosen)
    return dataclasses.replace(
        chosen[0],
        precision="bf16" if bf16 else "fp32",
        memory_format="channels_last" if channels_last else "contiguous",
    )
