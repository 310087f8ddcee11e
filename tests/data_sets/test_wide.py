"""Images of more than 8 bits a channel keep the levels that 8 bits can hold."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from deepsight.config import DataConfig
from deepsight.data.datasets import load_dataset
from deepsight.data.folder.decode import decode
from deepsight.data.folder.scan import measure_range, scan

RAMP = np.arange(256).reshape(16, 16)


def write(path, values):
    """With OpenCV, which takes colours of 16 bits and writes blue first."""
    values = np.asarray(values)
    if values.ndim == 3:
        values = values[..., [2, 1, 0, 3][: values.shape[2]]]
    assert cv2.imwrite(str(path), values)


def decoded(path, size=16):
    """The pixels of one file by the range of that file."""
    out = io.BytesIO()
    assert scan([path], size, "bilinear", out, measure_range([path])) == {}
    return np.frombuffer(out.getvalue(), np.uint8).reshape(size, size, 3)


COLOURS = np.stack([RAMP, RAMP[::-1], RAMP.T], axis=2)


@pytest.mark.parametrize("top", [255, 1023, 4095, 65535])
@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("base", [RAMP, COLOURS], ids=["grey", "colour"])
def test_all_levels_of_any_range_are_kept(tmp_path, top, suffix, base):
    write(tmp_path / f"a.{suffix}", (base * top / 255).round().astype(np.uint16))
    expected = base if base.ndim == 3 else np.repeat(base[..., None], 3, axis=2)
    np.testing.assert_array_equal(decoded(tmp_path / f"a.{suffix}"), expected)


def test_a_narrow_range_far_from_zero(tmp_path):
    write(tmp_path / "depth.png", (RAMP + 30_000).astype(np.uint16))
    assert len(np.unique(decoded(tmp_path / "depth.png"))) == 256


def test_floats_and_what_is_not_finite(tmp_path):
    values = (RAMP / 255).astype(np.float32)
    values[0, 0], values[15, 15] = np.nan, np.inf
    Image.fromarray(values).save(tmp_path / "a.tif")
    found = decoded(tmp_path / "a.tif")[..., 0].ravel()
    assert (found[0], found[-1]) == (0, 255)
    assert found[1:-1].tolist() == [round((v - 1) * 255 / 253) for v in range(1, 255)]


@pytest.mark.parametrize("mode", ["grey", "colour", "alpha", "grey alpha"])
def test_transparency_is_drawn_on_white_and_not_measured(tmp_path, mode):
    path, values = tmp_path / "a.png", (RAMP * 16).astype(np.uint16)
    if mode == "grey":
        values[0, :4] = 60_000
        Image.fromarray(values).save(path, transparency=60_000)
    elif mode == "colour":
        colours = np.repeat(values[..., None], 3, axis=2)
        colours[0, :4] = (60_000, 1, 2)
        write(path, colours)
        insert_chunk(path, b"tRNS", b"".join(v.to_bytes(2, "big") for v in (60_000, 1, 2)))
    elif mode == "alpha":
        write(path, np.dstack([values, values, values, np.full_like(values, 65535)]))
        image = np.dstack([values, values, values, np.full_like(values, 65535)])
        image[0, :4] = (60_000, 60_000, 60_000, 0)
        write(path, image)
    else:
        grey_alpha = np.dstack([values, np.full_like(values, 65535)])
        grey_alpha[0, :4] = (60_000, 0)
        write_grey_alpha(path, grey_alpha)
    expected = np.repeat(RAMP[..., None], 3, axis=2).clip(4).astype(float)
    expected = (expected - 4) * 255 / 251
    expected[0, :4] = 255
    np.testing.assert_allclose(decoded(path), expected, atol=0.51)


def insert_chunk(path, kind, data):
    """Put a chunk before the pixels of a PNG."""
    import zlib

    body = kind + data
    chunk = len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    whole = path.read_bytes()
    at = whole.index(b"IDAT") - 4
    path.write_bytes(whole[:at] + chunk + whole[at:])


def write_grey_alpha(path, values):
    """A PNG of colour type 4 with 16 bits, which neither library writes."""
    import zlib

    height, width = values.shape[:2]
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([16, 4, 0, 0, 0])
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    whole = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        body = kind + data
        whole += len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    path.write_bytes(whole)


def test_without_a_range_all_16_bits_count(tmp_path):
    write(tmp_path / "a.png", (RAMP * 257).astype(np.uint16))
    np.testing.assert_array_equal(decode(tmp_path / "a.png", 16, "bilinear")[..., 0], RAMP)


def test_the_range_is_that_of_the_whole_folder_and_is_said(tmp_path, caplog):
    for label, low in (("dark", 0), ("bright", 2000)):
        (tmp_path / label).mkdir()
        for i in range(6):
            values = np.full((16, 16), low + 100 * i, np.uint16)
            values[0, 0] = low + 2095
            write(tmp_path / label / f"{i}.png", values)
    caplog.set_level("INFO")
    dataset = load_dataset(DataConfig(name=f"folder:{tmp_path}", image_size=16))
    assert dataset.value_range == {"low": 0.0, "high": 4095.0, "num_files": 12}
    assert "12 images have more than 8 bits a channel: values 0 to 4095 become 0 to 255" in (
        caplog.text
    )
    bright = dataset.train.images[dataset.train.labels == dataset.classes.index("bright")]
    assert 124 <= bright[:, 5, 5, 0].min() <= bright[:, 5, 5, 0].max() <= 156


def test_images_of_8_bits_have_no_range(tmp_path, write_images):
    assert measure_range(write_images(tmp_path, 4, suffixes=(".png", ".tif", ".jpg"))) is None
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(16) + b"\x10")
    assert measure_range([tmp_path / "broken.png", tmp_path / "absent.png"]) is None


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["8 bit", "grey", "colour"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_the_orientation_is_applied_once(tmp_path, suffix, kind, orientation):
    path = tmp_path / f"a.{suffix}"
    plain = COLOURS.astype(np.uint8) if kind == "8 bit" else (COLOURS * 257).astype(np.uint16)
    if kind == "grey":
        plain = plain[..., 1]
    if suffix == "tif":
        write_tiff(path, plain, orientation)
    else:
        write(path, plain)
        exif = Image.Exif()
        exif[0x0112] = orientation
        insert_chunk(path, b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    grey = np.repeat(COLOURS[..., 1:2], 3, axis=2)
    image = Image.fromarray((grey if kind == "grey" else COLOURS).astype(np.uint8))
    image.getexif()[0x0112] = orientation
    np.testing.assert_array_equal(decoded(path), np.asarray(ImageOps.exif_transpose(image)))


def write_tiff(path, values, orientation):
    """An uncompressed TIFF of one strip."""
    height, width = values.shape[:2]
    bits, channels = 8 * values.itemsize, 1 if values.ndim == 2 else 3
    tags = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [bits] * channels),
        259: (3, [1]),
        262: (3, [1 if channels == 1 else 2]),
        273: (4, [8]),
        274: (3, [orientation]),
        277: (3, [channels]),
        278: (4, [height]),
        279: (4, [values.nbytes]),
    }
    at = 8 + values.nbytes
    extra_at, extra, entries = at + 2 + 12 * len(tags) + 4, b"", b""
    for tag, (kind, numbers) in tags.items():
        data = b"".join(n.to_bytes(4 if kind == 4 else 2, "little") for n in numbers)
        if len(data) > 4:
            extra, data = data, extra_at.to_bytes(4, "little")
        entries += b"".join(
            part.to_bytes(size, "little") for part, size in ((tag, 2), (kind, 2), (len(numbers), 4))
        ) + data.ljust(4, b"\0")
    whole = b"II*\0" + at.to_bytes(4, "little") + values.tobytes()
    path.write_bytes(whole + len(tags).to_bytes(2, "little") + entries + bytes(4) + extra)
