import tracemalloc

import numpy as np
import pytest
import torch

from deepsight.training.batches import copied, load_samples, plan_updates
from deepsight.training.seeding import generator, reset_globals


@pytest.mark.parametrize("num", [1, 2, 31, 32, 33, 64, 65, 100])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_every_image_is_in_one_batch(num: int, accumulate: int) -> None:
    updates = plan_updates(num, 32, accumulate)
    batches = [b for update in updates for b in update]
    assert [i for b in batches for i in range(num)[b]] == list(range(num))
    assert all(len(range(num)[b]) == 32 for b in batches[:-1])
    assert all(len(u) == accumulate for u in updates[:-1])


def test_a_single_last_image_is_left_out_where_it_cannot_be_normalised() -> None:
    assert plan_updates(65, 32, 1, smallest=2) == [[slice(0, 32)], [slice(32, 64)]]
    assert plan_updates(66, 32, 1, smallest=2)[-1] == [slice(64, 66)]
    assert plan_updates(1, 32, 1, smallest=2) == [[slice(0, 1)]]
    assert len(plan_updates(5, 1, 1, smallest=2)) == 5


def test_images_are_copies_of_the_mapped_ones(tmp_path) -> None:
    path = tmp_path / "images.npy"
    np.save(path, np.arange(5 * 2 * 2 * 3, dtype=np.uint8).reshape(5, 2, 2, 3))
    mapped = np.load(path, mmap_mode="r")
    samples = load_samples(mapped, np.arange(5), torch.device("cpu"))
    images, labels = samples.take(torch.tensor([3, 1]))
    assert np.shares_memory(samples.images, mapped)
    assert (images.numpy() == mapped[[3, 1]]).all()
    assert labels.tolist() == [3, 1]
    images.zero_()
    assert mapped[3].sum() > 0


def test_a_copy_for_a_gpu_needs_one_piece_of_the_host_at_a_time() -> None:
    images = np.random.default_rng(0).integers(0, 256, (1_000, 64, 64, 3), np.uint8)
    copied(images[:10], torch.device("cpu"))
    tracemalloc.start()
    copy = copied(images, torch.device("cpu"), piece_bytes=2**20)  # the copy itself is torch's
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert torch.equal(copy, torch.from_numpy(images))
    assert images.nbytes > 11 * 2**20
    assert peak < 3 * 2**20  # 11.7 MiB where all is copied at once


def test_streams_depend_on_seed_purpose_and_epoch_only() -> None:
    draws = {
        (seed, purpose, epoch): tuple(
            torch.rand(3, generator=generator(seed, purpose, epoch)).tolist()
        )
        for seed in (0, 1)
        for purpose in ("order", "augment")
        for epoch in (1, 2)
    }
    assert len(set(draws.values())) == len(draws)
    again = torch.rand(3, generator=generator(1, "augment", 2))
    assert draws[1, "augment", 2] == tuple(again.tolist())


def test_global_generators_begin_anew() -> None:
    drawn = []
    for _ in range(2):
        reset_globals(3, 1)
        drawn.append((torch.rand(1).item(), np.random.rand()))  # noqa: NPY002
    assert drawn[0] == drawn[1]
