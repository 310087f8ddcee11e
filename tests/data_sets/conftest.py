from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepsight.data import datasets


@pytest.fixture
def fresh_cache(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A cache with nothing in it, for tests that damage or count packs."""
    path = tmp_path_factory.mktemp("fresh_cache")
    monkeypatch.setenv("DEEPSIGHT_CACHE", str(path))
    datasets._load.cache_clear()
    yield path
    datasets._load.cache_clear()


WriteImages = Callable[..., list[Path]]


@pytest.fixture
def write_images() -> WriteImages:
    """Writes `num` different images of noise into a folder, by turns in each suffix."""

    def write(
        folder: Path, num: int, *, size: int = 12, suffixes: tuple[str, ...] = (".png",), seed=0
    ) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng([seed, *folder.name.encode()])
        paths = []
        for i in range(num):
            pixels = generator.integers(0, 256, (size, size, 3), dtype=np.uint8)
            path = folder / f"{i:04d}{suffixes[i % len(suffixes)]}"
            Image.fromarray(pixels).save(path)
            paths.append(path)
        return paths

    return write
