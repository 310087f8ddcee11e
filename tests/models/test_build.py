"""The contract of every entry of MODELS, and what `build_model` does with weights."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from deepsight.config import PARAMS, TrialConfig, UserError, trial_config
from deepsight.models.build import MODELS, build_model
from deepsight.models.finetune import frozen_stages, param_groups, set_frozen, stages

CLASSES = 5


def config_of(name: str, **values: object) -> TrialConfig:
    sections = {"model.name": name, "model.weights": "none", "model.width": 8}
    return trial_config(sections | {k.replace("__", "."): v for k, v in values.items()})


def images(num: int, size: int) -> Tensor:
    return torch.randn(num, 3, size, size, generator=torch.Generator().manual_seed(0))


def step(model: nn.Module, config: TrialConfig, size: int = 16) -> None:
    """One update at the config's learning rates."""
    model.train()
    optimiser = torch.optim.AdamW(param_groups(model, config))
    labels = torch.arange(4) % CLASSES
    nn.functional.cross_entropy(model(images(4, size)), labels).backward()
    optimiser.step()


def bits(model: nn.Module) -> dict[str, Tensor]:
    return {k: t.clone() for k, t in model.state_dict().items()}


def size_of(config: TrialConfig) -> int:
    """Numbers in the parameters and in what all layers hand on, for one image."""
    model, counted = build_model(config, CLASSES, 32), []
    for layer in model.modules():
        if not list(layer.children()):
            layer.register_forward_hook(lambda *given: counted.append(given[2].numel()))
    model.eval()(images(1, 32))
    return sum(p.numel() for p in model.parameters()) + sum(counted)


SIZES = {
    "depth": (2, 4),
    "width": (8, 16),
    "kernel_size": (3, 5),
    "dense_layers": (1, 3),
    "dense_width": (16, 64),
    "freeze_fraction": (0.0, 0.5),
    "unfreeze_epoch": (1, 3),
    "dropout": (0.0, 0.5),
    "batch_norm": (False, True),
}
SMALL = {
    "model.weights": "none",
    "model.width": 8,
    "model.depth": 3,
    "model.dense_layers": 2,
    "model.dense_width": 32,
}


@pytest.mark.parametrize("name", [n for n in PARAMS if n.startswith("model.")])
def test_what_makes_a_model_larger_is_declared(name: str) -> None:
    """The contract of ``memory`` in `deepsight.config`, as far as a model's size shows it."""
    rule, key = PARAMS[name].metadata, name.removeprefix("model.")
    values = SIZES.get(key) or rule["choices"]  # none for `weights`, which holds no other network
    if key == "name":
        values = rule["memory"][2:]  # the ResNets; the size of the scratch CNN is the user's
    network = "resnet18" if key == "stem" else "scratch_cnn"
    flat = SMALL | {"model.name": network}
    sizes = {value: size_of(trial_config(flat | {name: value})) for value in values}
    if len(set(sizes.values())) > 1:
        order = sorted(sizes, key=lambda value: sizes[value])
        assert rule["memory"] == 1 or [v for v in rule["memory"] if v in sizes] == order


def test_choices_of_the_config_are_the_table() -> None:
    assert PARAMS["model.name"].metadata["choices"] == tuple(MODELS)


@pytest.mark.parametrize("size", [8, 16, 33, 64])
@pytest.mark.parametrize("name", MODELS)
def test_logits_for_several_image_sizes(name: str, size: int) -> None:
    model = build_model(config_of(name), CLASSES, size).eval()
    assert model(images(2, size)).shape == (2, CLASSES)


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = build_model(config_of(name), CLASSES, 32).train()
    model(images(4, 32)).square().sum().backward()
    assert [k for k, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("name", MODELS)
def test_same_seed_same_weights_and_global_generator_untouched(name: str) -> None:
    state = torch.get_rng_state()
    first, again = (build_model(config_of(name), CLASSES, 16).state_dict() for _ in range(2))
    other = build_model(config_of(name, train__seed=1), CLASSES, 16).state_dict()
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert any(not torch.equal(first[k], other[k]) for k in first)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_is_in_exactly_one_group(name: str) -> None:
    config = config_of(name, model__freeze_fraction=0.5)
    model = build_model(config, CLASSES, 16)
    set_frozen(model, frozen_stages(config.model, len(stages(model)) - 1, 1))
    grouped = [id(p) for group in param_groups(model, config) for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_no_weight_decay_on_norms_and_biases(name: str) -> None:
    config = config_of(name, optim__weight_decay=0.1)
    for group in param_groups(build_model(config, CLASSES, 16), config):
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.1 if parameter.ndim > 1 else 0.0)


@pytest.mark.parametrize("name", MODELS)
def test_frozen_stages_keep_weights_and_statistics_bit_for_bit(name: str) -> None:
    config = config_of(name, optim__weight_decay=0.1)
    model = build_model(config, CLASSES, 16)
    backbone = len(stages(model)) - 1
    count = (backbone + 1) // 2
    set_frozen(model, count)
    before = bits(model)
    step(model, config)
    step(model, config)
    frozen = {id(t) for s in stages(model)[:count] for m in s for t in tensors(m)}
    for key, tensor in model.state_dict(keep_vars=True).items():
        same = torch.equal(tensor, before[key])
        assert same == (id(tensor) in frozen), key


def tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


@pytest.mark.parametrize("name", MODELS)
def test_freed_stages_learn_again(name: str) -> None:
    config = config_of(name)
    model = build_model(config, CLASSES, 16)
    set_frozen(model, len(stages(model)) - 1)
    step(model, config)
    set_frozen(model, 0)
    before = bits(model)
    step(model, config)
    assert not any(torch.equal(t, before[k]) for k, t in model.state_dict().items())


@pytest.mark.parametrize("name", MODELS)
def test_frozen_backbone_builds_no_graph(name: str) -> None:
    model = build_model(config_of(name), CLASSES, 16).train()
    set_frozen(model, len(stages(model)) - 1)
    seen: list[bool] = []
    head = stages(model)[-1][0]
    head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].requires_grad))
    model(images(4, 16))
    assert seen == [False]


@pytest.mark.parametrize("name", MODELS)
def test_weights_file_fills_the_backbone_and_leaves_the_head_new(name: str, tmp_path: Path) -> None:
    source = build_model(config_of(name, train__seed=1), 9, 16)  # nine classes: another head
    step(source, config_of(name))
    path = tmp_path / "weights.pt"
    torch.save(source.state_dict(), path)
    model = build_model(config_of(name, model__weights=str(path)), CLASSES, 16)
    fresh = build_model(config_of(name), CLASSES, 16).state_dict()
    head = {id(t) for m in stages(model)[-1] for t in tensors(m)}
    saved = source.state_dict()
    for key, tensor in model.state_dict(keep_vars=True).items():
        assert torch.equal(tensor, (fresh if id(tensor) in head else saved)[key]), key


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize(("stem", "side"), [("imagenet", 8), ("no_pool", 16), ("cifar", 32)])
def test_stems_keep_what_they_say_of_the_map(name: str, stem: str, side: int) -> None:
    model = build_model(config_of(name, model__stem=stem), CLASSES, 32).eval()
    seen: list[Tensor] = []
    stages(model)[0][2].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    assert model(images(1, 32)).shape == (1, CLASSES)
    assert seen[0].shape[-2:] == (side, side)


def test_cifar_stem_is_the_centre_of_the_pretrained_kernel(tmp_path: Path) -> None:
    source = build_model(config_of("resnet18", train__seed=1), CLASSES, 32)
    path = tmp_path / "weights.pt"
    torch.save(source.state_dict(), path)
    model = build_model(
        config_of("resnet18", model__weights=str(path), model__stem="cifar"), CLASSES, 32
    )
    centre = source.state_dict()["conv1.weight"][:, :, 2:5, 2:5]
    assert torch.equal(model.state_dict()["conv1.weight"], centre)


def test_trial_checkpoint_is_a_weights_file(tmp_path: Path) -> None:
    source = build_model(config_of("scratch_cnn", train__seed=1), CLASSES, 16)
    path = tmp_path / "checkpoint.pt"
    torch.save({"state": {"model": source.state_dict(), "epoch": 3}, "row": {}}, path)
    model = build_model(config_of("scratch_cnn", model__weights=str(path)), CLASSES, 16)
    assert torch.equal(
        model.state_dict()["blocks.0.0.weight"], source.state_dict()["blocks.0.0.weight"]
    )


@pytest.mark.parametrize(
    ("saved", "cause"),
    [
        ({"conv1.weight": torch.zeros(1)}, "lacks bn1.weight, bn1.bias, bn1.running_mean and"),
        ({"extra": torch.zeros(1)}, "lacks conv1.weight"),
        ({}, "holds no state dict"),
        ([1, 2], "holds no state dict"),
        (nn.Linear(1, 1), "is no weights file"),
    ],
)
def test_unfit_file_is_refused(saved: object, cause: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save(saved, path)
    with pytest.raises(UserError, match=cause):
        build_model(config_of("resnet20_cifar", model__weights=str(path)), CLASSES, 32)


def test_file_of_another_shape_or_with_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    config = config_of("scratch_cnn", model__weights=str(path))
    state = build_model(config_of("scratch_cnn", model__width=16), CLASSES, 32).state_dict()
    torch.save(state, path)
    with pytest.raises(UserError, match=r"has other shapes of blocks\.0\.0\.weight"):
        build_model(config, CLASSES, 32)
    state = build_model(config_of("scratch_cnn"), CLASSES, 32).state_dict()
    torch.save(state | {"layer9.weight": torch.zeros(1)}, path)
    with pytest.raises(UserError, match=r"has unknown layer9\.weight"):
        build_model(config, CLASSES, 32)
    path.write_bytes(b"no weights at all")
    with pytest.raises(UserError, match="is no weights file"):
        build_model(config, CLASSES, 32)


def own_model(config: TrialConfig, num_classes: int, image_size: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, num_classes))


def no_model(config: TrialConfig, num_classes: int, image_size: int) -> object:
    return config


def test_model_of_ones_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    name = f"{__name__}:own_model"
    model = build_model(config_of(name, model__freeze_fraction=0.5), CLASSES, 8)
    assert model(images(2, 8)).shape == (2, CLASSES)
    assert "model.freeze_fraction does nothing" in caplog.text
    path = tmp_path / "weights.pt"
    torch.save({k: t + 1 for k, t in model.state_dict().items()}, path)
    loaded = build_model(config_of(name, model__weights=str(path)), CLASSES, 8)
    assert torch.equal(loaded.state_dict()["1.bias"], model.state_dict()["1.bias"] + 1)


def test_function_that_builds_no_model() -> None:
    with pytest.raises(UserError, match="returned TrialConfig, not a model"):
        build_model(config_of(f"{__name__}:no_model"), CLASSES, 8)
