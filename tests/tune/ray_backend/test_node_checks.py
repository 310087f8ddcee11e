"""What is made of the nodes' answers, without a cluster."""

import json
from types import SimpleNamespace

import pytest

from deepsight.config import HardwareConfig, UserError
from deepsight.run_store import StorageError
from deepsight.tune.plan import resolve_study
from deepsight.tune.plan_files import load_space
from deepsight.tune.preflight import check_plan, make_header
from deepsight.tune.ray_backend import cluster, node_checks
from deepsight.tune.ray_backend.cluster import Slots
from deepsight.tune.ray_backend.join_cluster import with_hardware_of
from deepsight.tune.ray_backend.node_checks import (
    FROM_DRIVER,
    Node,
    Shared,
    common_hardware,
    make_look,
)
from deepsight.tune.ray_backend.start import ClusterError
from deepsight.tune.ray_backend.trial_spec import TrialSpec
from deepsight.tune.ray_backend.worker import run_trial
from tests.tune.plans import make_plan

CPU = {"device": "cpu", "precision": "bf16", "memory_format": "channels_last", "threads": 1}


def node(name="a", gpus=0.0, versions=None, seen=None, paths=None, **hardware):
    answer = {"versions": versions or {}, "seen": seen or {}, "paths": paths or {}}
    return Node(name, f"node-{name}", 4.0, gpus, answer | {"hardware": CPU | hardware})


def test_hardware_is_what_all_nodes_can():
    assert common_hardware([node(), node("b")]) == HardwareConfig(**CPU)
    slow = node("b", precision="fp32")
    assert common_hardware([node(), slow]).precision == "fp32"
    gpu = node("c", gpus=1.0, device="cuda")
    assert common_hardware([slow, gpu]) == HardwareConfig(**CPU | {"device": "cuda"})
    old = node("d", gpus=1.0, device="cuda", precision="fp32", memory_format="contiguous")
    mixed = common_hardware([slow, gpu, old])
    assert (mixed.precision, mixed.memory_format) == ("fp32", "contiguous")


def test_a_gpu_that_no_node_has_is_refused():
    plan = resolve_study("a", *load_space("smoke"), {"hardware.device": "cuda"})
    with pytest.raises(UserError, match="no node of the cluster has a GPU"):
        with_hardware_of(plan, [node()])
    plan = with_hardware_of(resolve_study("a", *load_space("smoke")), [node(precision="fp32")])
    assert plan.fixed["hardware.precision"] == "fp32"


def test_versions():
    own = {"python": "3.11.4", "torch": "2.15.0", "deepsight": "aa"}
    node_checks.require_same_versions([node(versions=own | {"python": "3.11.9"})], own)
    for other, cause in (
        ({"python": "3.12.4"}, "python 3.12.4"),
        ({"torch": "2.14.0"}, r"torch 2.14.0 \(here 2.15.0\)"),
        ({"torch": None}, "torch missing"),
        ({"deepsight": "bb"}, "deepsight source bb"),
    ):
        strange = node("b", versions=own | other)
        with pytest.raises(ClusterError, match=f"node-b has other versions: {cause}"):
            node_checks.require_same_versions([node(versions=own), strange], own)


def look(place, name="x", paths=()):
    answer = make_look()(name, [str(place)], list(paths), ["torch"], 1.0, {"device": "cpu"})
    return json.loads(answer)


def test_what_a_node_sees(tmp_path, monkeypatch):
    monkeypatch.setattr(node_checks, "SEEN_S", 0.0)
    place = tmp_path / "probe"
    place.mkdir()
    (place / FROM_DRIVER).write_text("token")
    shared, places = [Shared("cache", tmp_path, "Do it.")], {tmp_path: place}
    good = look(place, paths=[str(tmp_path), str(tmp_path / "absent")])
    assert good["hardware"]["device"] == "cpu"
    assert good["versions"].items() <= node_checks.own_versions().items()
    seeing = Node("x", "node-x", 1.0, 0.0, good)
    node_checks.require_sight([seeing], shared, places, [str(tmp_path)])
    with pytest.raises(StorageError, match="node-x does not see .*absent"):
        node_checks.require_sight([seeing], shared, places, [str(tmp_path / "absent")])
    blind = Node("y", "node-y", 1.0, 0.0, look(tmp_path / "elsewhere", "y"))
    blind.answer["seen"][str(place)] = blind.answer["seen"].pop(str(tmp_path / "elsewhere"))
    with pytest.raises(StorageError, match="does not share the cache .*FileNotFoundError"):
        node_checks.require_sight([blind], shared, places, [])
    (place / "x").unlink()  # as if the node had written into a directory of its own
    with pytest.raises(StorageError, match="the driver does not see what the node writes"):
        node_checks.require_sight([seeing], shared, places, [])
    (place / FROM_DRIVER).write_text("another")
    with pytest.raises(StorageError, match="something else than the driver wrote"):
        node_checks.require_sight([seeing], shared, places, [])


def alive(*resources):
    return lambda: [{"Resources": r} for r in resources]


def test_slots_follow_the_nodes(monkeypatch):
    monkeypatch.setattr(cluster, "LOOK_S", 0.0)
    per_trial = {"cpu": 2.0, "gpu": 0.0}
    three, five = {"CPU": 3.0}, {"CPU": 5.0}
    monkeypatch.setattr(cluster, "alive_nodes", alive(three, five))
    slots = Slots(make_plan(), per_trial, joined=True)
    assert slots() == 3  # eight CPUs, but one is left over on either node
    monkeypatch.setattr(cluster, "alive_nodes", alive(five))
    assert slots() == 2
    monkeypatch.setattr(cluster, "alive_nodes", alive())
    assert slots() == 1  # that one waits
    with pytest.raises(ClusterError, match="no trial fits: one wants 2 CPUs; the nodes have none"):
        Slots(make_plan(), per_trial, joined=True)()


def test_the_most_at_a_time(monkeypatch):
    monkeypatch.setattr(cluster, "alive_nodes", alive({"CPU": 4.0}))
    per_trial = {"cpu": 1.0, "gpu": 0.0}
    for most, joined, expected in ((3, False, 3), (3, True, 3), (8, False, 4), (8, True, 8)):
        plan = resolve_study(
            "a",
            make_plan().space,
            {"study.trainable": "tests.trainables:curve", "resources.max_parallel": most},
        )
        assert Slots(plan, per_trial, joined)() == expected


def test_auto_is_a_word_for_a_number():
    given = {"resources.gpus_per_trial": "auto"}
    plan = resolve_study("a", *load_space("smoke"), given)
    assert plan.resources.gpus_per_trial == "auto"
    assert make_header(plan, {})["settings"]["resources.gpus_per_trial"] == "auto"
    with pytest.raises(UserError, match="must be a float, got 'some'"):
        resolve_study("a", *load_space("smoke"), {"resources.gpus_per_trial": "some"})
    own = resolve_study(
        "a", make_plan().space, given | {"study.trainable": "tests.trainables:curve"}
    )
    with pytest.raises(UserError, match="cannot measure a trainable of your own"):
        check_plan(own)


@pytest.mark.parametrize(
    ("asked", "device", "gpus", "earlier", "expected"),
    [
        (0.0, "cpu", 2.0, {}, (0.0, None)),
        (0.0, "cuda", 2.0, {}, (1.0, None)),  # a whole one unless told otherwise
        (0.0, "cuda", 0.0, {}, (0.0, None)),
        (0.25, "cuda", 2.0, {}, (0.25, None)),
        ("auto", "cpu", 2.0, {}, (0.0, None)),  # nothing to share
        (
            "auto",
            "cuda",
            2.0,
            {"gpus_per_trial": 0.2, "measured": {"free_bytes": 1}},
            (0.2, {"free_bytes": 1}),
        ),  # a resumed study does not measure again
    ],
)
def test_gpus_of_a_trial(monkeypatch, asked, device, gpus, earlier, expected):
    monkeypatch.setattr(cluster, "alive_nodes", alive({"CPU": 4.0, "GPU": gpus}))
    given = {"resources.gpus_per_trial": asked, "hardware.device": device}
    search = SimpleNamespace(plan=resolve_study("a", *load_space("smoke"), given))
    per_trial, measured = cluster._resources_per_trial(search, earlier)
    assert (per_trial["gpu"], measured) == expected


def test_a_node_that_joined_late_and_sees_nothing_says_so(tmp_path):
    spec = TrialSpec("t0000", str(tmp_path / "absent"), {}, "tests.trainables:curve", 0, 1)
    with pytest.raises(StorageError, match="does not see .*absent"):
        next(run_trial(spec))
    assert list(tmp_path.iterdir()) == []
