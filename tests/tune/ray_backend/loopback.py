"""A Ray cluster of several raylets on this machine, in a process of its own.

Run as a program: takes a JSON list of nodes, the head first, prints a line of JSON about them, then
obeys standard input: ``kill N`` ends node N as a power cut would; its end ends the cluster.
Node N has the address 127.0.0.(N + 2): Ray takes 127.0.0.1 for "this machine's outer address".

A node is ``{"num_cpus": 1, ...}`` for Ray, and may have ``environment`` (what its processes see)
and ``hide`` (a directory in whose place it sees an empty one; wants root, and is for the last one).
"""

import contextlib
import ctypes
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[3]
NEW_MOUNTS = 0x00020000  # CLONE_NEWNS of linux/sched.h


class Loopback:
    """The cluster, as seen by a test."""

    def __init__(self, *nodes, **environment):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.tune.ray_backend.loopback", json.dumps(nodes)],
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        )
        line = self.process.stdout.readline()
        assert line, "the cluster did not start"
        self.address, self.nodes = json.loads(line).values()

    def kill(self, number):
        """End a node's raylet and workers at once."""
        self.process.stdin.write(f"kill {number}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "killed\n"

    def workers(self, number=None):
        """Process ids of the workers (of a node), idle ones too."""
        raylets = (
            [n["raylet"] for n in self.nodes] if number is None else [self.nodes[number]["raylet"]]
        )
        return [pid for pid, parent, name in processes() if parent in raylets and "ray::" in name]

    def alive(self, number=None):
        """Whether the raylet of a node, or every raylet, runs."""
        chosen = self.nodes if number is None else [self.nodes[number]]
        return all(Path(f"/proc/{n['raylet']}/maps").read_text() for n in chosen)

    def await_dead(self, number):
        """Wait until the head has noticed that a node is gone."""
        self.process.stdin.write(f"dead {number}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "dead\n"

    def close(self):
        """End the cluster."""
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


def processes():
    """Every process as (id, parent's id, command)."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                yield int(entry.name), int(parent), command.decode(errors="replace")


def hide(directory):
    """Give this process, and what it starts, an empty directory in the place of `directory`."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", directory], check=True)


def serve(nodes):
    """Start `nodes`, say where they are, and obey."""
    from ray.cluster_utils import Cluster

    logging.disable(logging.WARNING)
    cluster, started = Cluster(), []
    for number, node in enumerate(nodes, start=2):
        options = {"num_cpus": 1, "object_store_memory": 80 * 2**20} | node
        with contextlib.ExitStack() as undo:
            for name, value in options.pop("environment", {}).items():
                undo.callback(os.environ.__setitem__, name, os.environ.get(name, ""))
                os.environ[name] = value
            if "hide" in options:
                hide(options.pop("hide"))
            started.append(
                cluster.add_node(
                    node_ip_address=f"127.0.0.{number}",
                    include_dashboard=False,
                    include_log_monitor=False,
                    **options,
                )
            )
    shown = [{"id": n.node_id, "raylet": n.all_processes["raylet"][0].process.pid} for n in started]
    sys.stdout.write(json.dumps({"address": cluster.address, "nodes": shown}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        word, number = line.split()[0], int(line.split()[1])
        while word == "dead" and shown[number]["id"] in cluster.global_state._live_node_ids():
            time.sleep(0.1)
        if word == "dead":
            sys.stdout.write("dead\n")
            sys.stdout.flush()
            continue
        workers = [pid for pid, parent, _ in processes() if parent == shown[number]["raylet"]]
        for pid in [shown[number]["raylet"], *workers]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        sys.stdout.write("killed\n")
        sys.stdout.flush()
    session = Path(started[0].get_session_dir_path())
    for node in reversed(started):
        node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
    time.sleep(0.2)
    shutil.rmtree(session, ignore_errors=True)


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
