from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from deepsight.config import UserError
from deepsight.data.folder.decode import decode
from deepsight.data.folder.masks import find_mask, load_masks, read_mask


def save(path, array, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array, mode=mode).save(path, **options)
    return path


def square(height=40, width=40, top=10, left=10, side=20, value=255):
    array = np.zeros((height, width), np.uint8)
    array[top : top + side, left : left + side] = value
    return array


def rgba(alpha):
    return np.dstack([np.full((*alpha.shape, 3), 90, np.uint8), alpha])


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_the_alpha_channel_is_the_mask(tmp_path, suffix):
    save(tmp_path / f"cat/1.{suffix}", rgba(square()), lossless=True)
    save(tmp_path / f"cat/2.{suffix}", rgba(np.full((40, 40), 255, np.uint8)), lossless=True)
    save(tmp_path / "cat/3.jpg", np.zeros((40, 40, 3), np.uint8))
    masks = load_masks([f"cat/1.{suffix}", f"cat/2.{suffix}", "cat/3.jpg"], tmp_path, 20)
    assert masks[0].sum() == 100
    assert masks[0, 5:15, 5:15].all()
    assert not masks[1:].any()  # opaque throughout, and no alpha channel


@pytest.mark.parametrize("value", [1, 200, 255])
@pytest.mark.parametrize("suffix", ["png", "PNG", "bmp"])
def test_a_parallel_folder_holds_masks_by_the_names_of_the_images(tmp_path, value, suffix):
    save(tmp_path / "images/cat/1.jpg", np.zeros((40, 40, 3), np.uint8))
    save(tmp_path / "images/cat/2.jpg", np.zeros((40, 40, 3), np.uint8))
    save(tmp_path / f"masks/cat/1.{suffix}", square(value=value))
    ids, images, masks = ["cat/1.jpg", "cat/2.jpg"], tmp_path / "images", tmp_path / "masks"
    found = load_masks(ids, images, 40, masks)
    np.testing.assert_array_equal(found[0], square(value=1))
    assert not found[1].any()
    assert find_mask("cat/2.jpg", images, masks) is None


def test_every_colour_of_a_palette_but_the_first_is_object(tmp_path):
    image = Image.fromarray(square(value=3), mode="P")
    image.putpalette([0, 0, 0, 255, 255, 255, 9, 9, 9, 10, 0, 0])
    image.save(tmp_path / "1.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "1.png", 40), square(value=1))


def test_mask_and_image_are_cut_and_turned_alike(tmp_path):
    """A bright square in a wide photograph that EXIF turns by a quarter."""
    shape = square(40, 60, top=4, left=14, side=12)
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "a.png", np.dstack([shape] * 3), exif=exif)
    save(tmp_path / "m.png", shape, exif=exif)
    image = decode(tmp_path / "a.png", 20, "bilinear")[:, :, 0]
    mask = read_mask(tmp_path / "m.png", 20, like=tmp_path / "a.png")
    assert mask.sum() == 36
    assert image[mask > 0].min() > 100
    assert image[mask == 0].max() < 155


def test_a_mask_of_another_shape_is_refused(tmp_path):
    save(tmp_path / "images/1.png", np.zeros((40, 60, 3), np.uint8))
    save(tmp_path / "masks/1.png", square())
    with pytest.raises(UserError, match="40x40 pixels, its image 60x40"):
        load_masks(["1.png"], tmp_path / "images", 20, tmp_path / "masks")


def test_a_broken_mask_and_a_missing_folder_are_named(tmp_path):
    save(tmp_path / "images/1.png", np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(UserError, match="data.masks: .* is not a folder"):
        load_masks(["1.png"], tmp_path / "images", 20, tmp_path / "masks")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/1.png").write_bytes(b"no image")
    with pytest.raises(UserError, match="cannot be read"):
        load_masks(["1.png"], tmp_path / "images", 20, tmp_path / "masks")


@pytest.mark.parametrize("side", [7_100, 20_000])
def test_a_mask_that_would_fill_the_memory_is_refused_by_its_header(tmp_path, side):
    """A bomb: few bytes, whose header states more pixels than any image may have."""
    save(tmp_path / "images/1.png", np.zeros((40, 40, 3), np.uint8))
    path = save(tmp_path / "masks/1.png", square())
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", side, side)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"cannot be read: {side}x{side} pixels|cannot be read: Im"):
        load_masks(["1.png"], tmp_path / "images", 20, tmp_path / "masks")
