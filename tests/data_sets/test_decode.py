import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from deepsight.data.folder.decode import decode
from deepsight.data.folder.scan import scan


@pytest.fixture
def smooth():
    """A 90x60 photograph-like image: smooth colours, no symmetry."""
    y, x = np.mgrid[0:60, 0:90]
    return Image.fromarray(
        np.stack([x * 2, y * 3, (x + y) + 40 * (x > 50)], axis=2).astype(np.uint8)
    )


def reference(image, size=16, resample=Image.Resampling.BILINEAR):
    """The central square, resized by Pillow's own one-call function."""
    return np.asarray(ImageOps.fit(image, (size, size), resample))


@pytest.mark.parametrize(
    ("suffix", "tolerance"),
    [("jpg", 4), ("png", 0), ("bmp", 0), ("webp", 8), ("gif", 12)],
)
def test_each_format(tmp_path, smooth, suffix, tolerance):
    path = tmp_path / f"image.{suffix}"
    smooth.save(path, **({"quality": 98} if suffix in ("jpg", "webp") else {}))
    found = decode(path, 16, "bilinear").astype(int)
    assert found.shape == (16, 16, 3)
    assert np.abs(found - reference(smooth)).max() <= tolerance


def test_interpolation_is_used(tmp_path, smooth):
    smooth.save(tmp_path / "image.png")
    bicubic = decode(tmp_path / "image.png", 16, "bicubic")
    np.testing.assert_array_equal(bicubic, reference(smooth, 16, Image.Resampling.BICUBIC))
    assert (bicubic != decode(tmp_path / "image.png", 16, "bilinear")).any()


def test_reducing_is_antialiased(tmp_path):
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "image.png")
    assert np.abs(decode(tmp_path / "image.png", 16, "bilinear").astype(int) - 128).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, smooth, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth.save(tmp_path / "image.png", exif=exif)
    with Image.open(tmp_path / "image.png") as image:
        upright = ImageOps.exif_transpose(image)
    found = decode(tmp_path / "image.png", 16, "bilinear").astype(int)
    assert np.abs(found - reference(upright)).max() <= 1


def test_damaged_exif_does_not_cost_the_image(tmp_path, smooth):
    smooth.save(tmp_path / "image.jpg", exif=b"Exif\0\0garbage")
    assert decode(tmp_path / "image.jpg", 16, "bilinear").shape == (16, 16, 3)


@pytest.mark.parametrize(
    ("image", "suffix", "expected"),
    [
        (Image.new("L", (20, 20), 90), "png", (90, 90, 90)),
        (Image.new("1", (20, 20), 1), "png", (255, 255, 255)),
        (Image.new("LA", (20, 20), (90, 0)), "png", (255, 255, 255)),
        (Image.new("RGBA", (20, 20), (200, 0, 0, 255)), "png", (200, 0, 0)),
        (Image.new("RGBA", (20, 20), (200, 0, 0, 0)), "png", (255, 255, 255)),
        (Image.new("RGBA", (20, 20), (0, 0, 0, 51)), "png", (204, 204, 204)),
        (Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "jpg", (255, 0, 0)),
        (Image.fromarray(np.full((20, 20), 90 * 257, np.uint16)), "png", (90, 90, 90)),
        (Image.new("RGB", (20, 20), (0, 128, 0)).quantize(2), "gif", (0, 128, 0)),
    ],
    ids=["grey", "bits", "grey+alpha", "opaque", "clear", "half", "cmyk", "16bit", "palette"],
)
def test_colour_modes_become_rgb(tmp_path, image, suffix, expected):
    path = tmp_path / f"image.{suffix}"
    image.save(path)
    found = decode(path, 8, "bilinear").reshape(-1, 3).astype(int)
    assert np.abs(found - expected).max() <= 2


def test_a_transparent_palette_is_drawn_on_white(tmp_path):
    image = Image.new("P", (20, 20), 0)
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.paste(1, (0, 0, 10, 20))
    image.save(tmp_path / "image.gif", transparency=0)
    found = decode(tmp_path / "image.gif", 20, "bilinear")
    assert (found[:, 0].tolist(), found[:, -1].tolist()) == ([[200, 100, 0]] * 20, [[255] * 3] * 20)


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "image.gif", save_all=True, append_images=frames[1:])
    assert decode(tmp_path / "image.gif", 8, "bilinear")[0, 0].tolist() == [255, 0, 0]


def test_a_large_jpeg_decoded_at_a_fraction_looks_the_same(tmp_path, smooth):
    large = smooth.resize((1800, 1200), Image.Resampling.BICUBIC)
    large.save(tmp_path / "image.jpg", quality=95)
    found = decode(tmp_path / "image.jpg", 32, "bilinear").astype(int)
    assert np.abs(found - reference(large, 32)).max() <= 6


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (3, 2), (500, 7)])
def test_odd_shapes(tmp_path, size):
    Image.new("RGB", size, (9, 8, 7)).save(tmp_path / "image.png")
    assert (decode(tmp_path / "image.png", 16, "bicubic") == (9, 8, 7)).all()


def png_header(width, height):
    """The first bytes of a PNG that claims a size; whoever decodes it needs that much memory."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000)))


def test_broken_files_are_told_apart_from_whole_ones(tmp_path, smooth):
    buffer = io.BytesIO()
    smooth.save(buffer, "JPEG")
    files = {
        "a_whole.png": None,
        "b_cut.jpg": buffer.getvalue()[: buffer.tell() // 2],
        "c_empty.png": b"",
        "d_text.jpg": b"<html>not found</html>",
        "e_large.png": png_header(8000, 6251),
        "f_bomb.png": png_header(30_000, 30_000),
        "g_other_format.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        "h_whole.bmp": None,
        "i_named_png_is_jpeg.png": buffer.getvalue(),
    }
    for name, data in files.items():
        if data is None:
            smooth.save(tmp_path / name)
        else:
            (tmp_path / name).write_bytes(data)
    paths = [tmp_path / name for name in files]
    out = io.BytesIO()
    broken = scan([*paths, tmp_path / "absent.png"], 16, "bilinear", out)
    assert sorted(broken) == [1, 2, 3, 4, 5, 6, 9]
    assert "50 million" in broken[4]
    assert all("\n" not in reason for reason in broken.values())
    images = np.frombuffer(out.getvalue(), np.uint8).reshape(3, 16, 16, 3)
    np.testing.assert_array_equal(images[0], reference(smooth))
    np.testing.assert_array_equal(images[1], reference(smooth))


def test_a_file_of_exactly_the_cap_is_not_refused_for_its_size(tmp_path):
    (tmp_path / "image.png").write_bytes(png_header(8000, 6250))
    with pytest.raises(OSError, match="truncated"):  # got past the header
        decode(tmp_path / "image.png", 16, "bilinear")


def test_order_is_kept_over_many_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("deepsight.data.folder.scan._BLOCK", 3)
    for i in range(10):
        Image.new("RGB", (4, 4), (i, i, i)).save(tmp_path / f"{i}.png")
    out = io.BytesIO()
    assert scan([tmp_path / f"{i}.png" for i in range(10)], 2, "bilinear", out) == {}
    assert np.frombuffer(out.getvalue(), np.uint8).reshape(10, -1)[:, 0].tolist() == list(range(10))
