"""Joins a running cluster: authentication, and what its nodes must share.

All checks come before a study is created; no process of ours stays behind.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from deepsight.config import HardwareConfig, UserError
from deepsight.tune.plan import StudyPlan
from deepsight.tune.preflight import decided, files_needed
from deepsight.tune.ray_backend.node_checks import (
    Node,
    Shared,
    ask_nodes,
    common_hardware,
    usable_nodes,
)
from deepsight.tune.ray_backend.start import ClusterError, RayStart

REACH_S = 5.0
"""For the head node to answer."""
ASK = "/ray.rpc.NodeInfoGcsService/CheckAlive"
"""A question to the head node that has no effect and no arguments."""

GIVE = (
    "Set RAY_AUTH_MODE=token, and put the cluster's token into ~/.ray/auth_token or RAY_AUTH_TOKEN."
)

logger = logging.getLogger(__name__)


def find_cluster(address: str) -> str:
    """The head node's ``host:port`` of what ``--address`` says, which may be ``auto``.

    Raises:
        ClusterError: If it is no address or names no cluster.
    """
    from ray._private.services import canonicalize_bootstrap_address

    if "://" in address:
        raise ClusterError(
            f"--address {address} is one for Ray Client, which cannot drive a search.",
            "Run the command on a node of the cluster with --address auto (docs/cluster.md).",
        )
    try:
        found = canonicalize_bootstrap_address(address)
    except ValueError as error:
        raise ClusterError(f"{error}.", "Give --address as HOST:PORT, or auto.") from error
    except ConnectionError:
        found = None
    if found is None:  # "local", or auto without any
        raise ClusterError(
            f"--address {address} finds no cluster on this machine.",
            "Start one with ray start --head, or give its HOST:PORT.",
        )
    return str(found)


def answers(address: str, token: str | None = None) -> bool:
    """Whether the cluster answers a caller who shows `token`, or none (and no certificate).

    Raises:
        ClusterError: If no cluster answers.
    """
    import grpc

    shown = (("authorization", f"Bearer {token}"),) if token else ()
    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary(ASK)
        try:
            ask(b"", timeout=REACH_S, metadata=shown)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNAUTHENTICATED:
                return False
            silent = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
            if error.code() not in silent:
                return True  # it answered without authentication
            if os.environ.get("RAY_USE_TLS") == "1":
                return False  # it accepts only holders of a certificate
            raise ClusterError(
                f"no Ray cluster answers at {address}.",
                "Check the address and the port (6379 by default) and that the cluster runs.",
            ) from error
    return True


def require_authentication(address: str, allowed: bool, auto: bool = False) -> None:
    """Refuse a cluster without authentication, unless allowed, and one that rejects our token.

    A cluster that asks for no token runs any code sent to its port. With a wrong token, Ray would
    retry for minutes.

    Args:
        address: The head node's.
        allowed: Whether a cluster without authentication is accepted.
        auto: Whether the address was left to Ray, which then reads the token file by itself.

    Raises:
        ClusterError: If it must not be joined, or does not answer.
    """
    if answers(address):
        if not allowed:
            raise ClusterError(
                f"the cluster at {address} lets in everybody who reaches it, without a token.",
                "Start it with RAY_AUTH_MODE=token (docs/cluster.md), or accept that: "
                "--set study.allow_unauthenticated=true.",
            )
        if os.environ.get("RAY_AUTH_MODE") == "token":  # its calls to this process would be refused
            raise ClusterError(
                f"the cluster at {address} has no token, and RAY_AUTH_MODE is token here.",
                "Unset RAY_AUTH_MODE.",
            )
        logger.warning("the cluster at %s asks for no token, which was accepted", address)
        return
    if os.environ.get("RAY_USE_TLS") == "1":
        return
    from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]

    mode = os.environ.get("RAY_AUTH_MODE")
    if mode != "token" and not (mode is None and auto):
        raise ClusterError(
            f"the cluster at {address} wants a token, and RAY_AUTH_MODE is not token here.", GIVE
        )
    token = AuthenticationTokenLoader.instance().get_raw_token(ignore_auth_mode=True)
    if not token or not answers(address, token):
        which = "does not take the token of this machine" if token else "wants a token"
        raise ClusterError(f"the cluster at {address} {which}.", GIVE)


def survey(plan: StudyPlan, directory: Path) -> list[Node]:
    """Ask all nodes of the cluster, which was joined, whether they suit `plan`.

    Args:
        plan: The study.
        directory: Where it is or will be; its nearest existing parent is looked at.

    Raises:
        ClusterError: If a node does not answer or differs.
        StorageError: If a node does not see the study's directory, the cache or the data.
    """
    while not directory.exists():
        directory = directory.parent
    remedy = "Start where every node mounts the same storage at the same path (docs/cluster.md)."
    shared = [Shared("directory of the study", directory, remedy)]
    hardware = HardwareConfig()
    paths: list[str] = []
    if not plan.own_trainable:
        hardware = plan.default_trial.hardware
        cache, paths = files_needed(plan)
        remedy = "Set DEEPSIGHT_CACHE to a directory that every node mounts at the same path."
        shared.append(Shared("cache", cache, remedy))
    cpus = plan.resources.cpus_per_trial
    return ask_nodes(usable_nodes(cpus), shared, paths, hardware, cpus)


def with_hardware_of(plan: StudyPlan, nodes: Sequence[Node]) -> StudyPlan:
    """`plan` with every ``hardware.*`` decided for all of `nodes`.

    Raises:
        UserError: If a GPU is asked for and no node has one.
    """
    if plan.own_trainable:
        return plan
    wanted = plan.fixed.get("hardware.device")
    if wanted == "cuda" and not any(node.gpus for node in nodes):
        raise UserError(
            "hardware.device is cuda, but no node of the cluster has a GPU.",
            "Set hardware.device=auto, or start Ray on nodes with GPUs.",
        )
    return decided(plan, common_hardware(nodes))


@contextmanager
def joined(
    plan: StudyPlan,
    directory: Path,
    address: str,
    take_signals: Callable[[], None],
    environment: Mapping[str, str],
) -> Iterator[tuple[RayStart, list[Node]]]:
    """Join a cluster whose nodes suit `plan`, and leave it at the end.

    Args:
        plan: The study.
        directory: As in `survey`.
        address: As on the command line.
        take_signals: As in `RayStart.wait`.
        environment: What our processes there see, beside their machine's own.

    Raises:
        ClusterError: If it cannot or must not be joined, or a node does not suit.
        StorageError: If a node does not see the study's directory, the cache or the data.
    """
    head = find_cluster(address)
    require_authentication(head, plan.settings.allow_unauthenticated, auto=address == "auto")
    starting = RayStart(plan, address, environment)
    try:
        starting.wait(take_signals)
        yield starting, survey(plan, directory)
    finally:
        starting.stop()
