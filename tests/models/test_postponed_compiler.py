"""PyTorch's compiler is not loaded by what does not compile, and works for what does.

In processes of their own: what is loaded in this one says nothing.
"""

import subprocess
import sys

import pytest

TRAIN = """
import sys
from deepsight.config import trial_config
from deepsight.training.trial import train_trial
config = trial_config({
    "model.name": "resnet18", "data.name": "toy_objects", "data.size": 200,
    "train.epochs": 1, "hardware.device": "cpu",
})
assert [result.metrics["epoch"] for result in train_trial(config)] == [1]
assert not [name for name in sys.modules if name.startswith(("torch._dynamo.", "sympy."))]
"""
LOADED = """
assert "torch._dynamo.symbolic_convert" in sys.modules
assert torch._dynamo is sys.modules["torch._dynamo"]
assert torch._dynamo.utils is sys.modules["torch._dynamo.utils"]
assert torch._dynamo.__file__
"""
COMPILE = """
compiled = torch.compile(lambda x: x + 1, backend="eager", fullgraph=True)
assert compiled(torch.ones(2)).tolist() == [2.0, 2.0]
"""
DISABLE = """
@torch.compiler.disable(recursive=False)
def left_out(x):
    return x + torch.tensor(x.sum().item())
@torch.compile(backend="eager", fullgraph=True)
def compiled(x):
    return left_out(x)
try:
    compiled(torch.ones(2))
except torch._dynamo.exc.Unsupported:
    pass
else:
    raise AssertionError("left_out was compiled")
"""
ASK = {
    "takes a function out of compilation": DISABLE,
    "imports a part of it": "from torch._dynamo.utils import counters\n",
    "asks whether a device compiles": (
        "from torchvision.ops.roi_align import is_compile_supported\n"
        "assert isinstance(is_compile_supported('cpu'), bool)\n"
    ),
}


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_training_does_not_load_the_compiler_and_compiling_afterwards_does() -> None:
    optimiser = (
        "import torch\n"
        "weights = torch.nn.Parameter(torch.ones(1)); weights.grad = torch.ones(1)\n"
        "optimiser = torch.optim.SGD([weights], 0.5)\n"
    )
    step = "optimiser.step(); optimiser.zero_grad()\nassert weights.item() == {}\n"
    again = "weights.grad = torch.ones(1)\n" + step.format(0.0)
    run(TRAIN + optimiser + step.format(0.5) + COMPILE + LOADED + again)


@pytest.mark.parametrize("what", ASK)
def test_whoever_asks_for_the_compiler_gets_the_real_one(what: str) -> None:
    run("import sys, torch\nimport deepsight.models.resnet\n" + ASK[what] + LOADED)


def test_a_torchvision_that_asks_for_more_loads_it() -> None:
    asks = (
        "import sys, torch\n"
        "from deepsight.models.postponed_compiler import compiler_postponed\n"
        "with compiler_postponed():\n"
        "    from torch._dynamo.utils import counters, is_compile_supported\n"
    )
    run(asks + COMPILE + LOADED)
