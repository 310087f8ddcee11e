"""Images and folders that cost too much: named as broken, within limits of time and memory."""

import itertools
import os
import struct
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepsight.config import DataConfig, UserError
from deepsight.data.folder import bounded, cost
from deepsight.data.folder.decode import open_image
from deepsight.data.folder.image_folder import check_folder, list_folder
from deepsight.data.folder.scan import scan

EXIF = Image.Exif()
EXIF[0x0112] = 6
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def jpeg(**options):
    file = BytesIO()
    Image.fromarray(NOISE).save(file, "JPEG", **options)
    return file.getvalue()


def many_scans(number):
    """A progressive JPEG whose last scan is there so often."""
    whole = jpeg(progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * number + whole[-2:]


def much_metadata(megabytes):
    """A JPEG whose EXIF data are so long; a segment holds 64 KiB."""
    whole = jpeg()
    segment = b"\xff\xe1" + struct.pack(">H", 65535) + b"Exif\0\0" + bytes(65535 - 8)
    return whole[:2] + segment * (megabytes * 16) + whole[2:]


def webp(chunk, content):
    body = b"WEBP" + chunk + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", len(body)) + body


HUGE = 16383
COSTLY = {
    "scans.jpg": (many_scans(300), "a JPEG of more than 100 scans"),
    "padded.jpg": (b"\xff\xd8\xff\xff" + many_scans(300)[3:], "a JPEG of more than 100 scans"),
    "hidden.jpg": (b"\xff\xd8\xff\x01" + many_scans(300)[2:], "a JPEG of more than 100 scans"),
    "exif.jpg": (much_metadata(17), "more than 16 MB before its pixels"),
    "canvas.webp": (
        webp(b"VP8X", b"\x02\0\0\0" + (HUGE - 1).to_bytes(3, "little") * 2),
        "16383x16383 pixels",
    ),
    "lossless.webp": (
        webp(b"VP8L", b"\x2f" + (HUGE - 1 | HUGE - 1 << 14).to_bytes(4, "little")),
        "16383x16383 pixels",
    ),
    "lossy.webp": (
        webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + HUGE.to_bytes(2, "little") * 2),
        "16383x16383 pixels",
    ),
}


@pytest.mark.parametrize("name", COSTLY)
def test_a_costly_file_is_refused_before_it_is_decoded(name, tmp_path):
    content, reason = COSTLY[name]
    (tmp_path / name).write_bytes(content)
    began = time.process_time()
    with pytest.raises(ValueError, match=reason):
        open_image(tmp_path / name)
    assert time.process_time() - began < 1


def test_a_file_that_is_mostly_a_hole_is_refused(tmp_path):
    path = tmp_path / "hole.webp"
    path.write_bytes(webp(b"VP8X", b"\x02\0\0\0" + (9).to_bytes(3, "little") * 2))
    os.truncate(path, 3_000_000_000)
    with pytest.raises(ValueError, match="a file of 3000 MB, more than 400"):
        open_image(path)


@pytest.mark.parametrize("format_", ["VP8 ", "VP8L", "VP8X"])
def test_the_size_of_a_webp_is_read_as_pillow_reads_it(format_, tmp_path):
    image = Image.fromarray(NOISE[:40, :24])
    options = {"VP8 ": {}, "VP8L": {"lossless": True}, "VP8X": {"exif": EXIF}}[format_]
    image.save(tmp_path / "a.webp", **options)
    head = (tmp_path / "a.webp").read_bytes()[:30]
    assert head[12:16] == format_.encode()
    assert cost._webp_size(head) == (24, 40)


@pytest.mark.parametrize("progressive", [False, True])
def test_usual_files_are_not_refused(progressive, tmp_path):
    content = jpeg(progressive=progressive, exif=EXIF, icc_profile=bytes(3_000_000))
    (tmp_path / "a.jpg").write_bytes(content)
    cost.refuse_costly(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(many_scans(60) if progressive else content[:-400])
    cost.refuse_costly(tmp_path / "b.jpg")


def test_a_film_behind_a_photograph_is_not_counted_as_scans(tmp_path):
    """As phones append it; in random bytes the marker of a scan stands every 64 KiB."""
    (tmp_path / "a.jpg").write_bytes(jpeg() + b"\xff\xda" * 150)
    cost.refuse_costly(tmp_path / "a.jpg")


@pytest.mark.parametrize("content", [b"\xff\xd9", b"\xff\xda" * 150])
def test_scans_are_counted_beyond_what_a_comment_holds(content, tmp_path):
    comment = b"\xff\xfe" + struct.pack(">H", len(content) + 2) + content
    usual = jpeg(progressive=True)
    second = usual.index(b"\xff\xda", usual.index(b"\xff\xda") + 2)
    (tmp_path / "usual.jpg").write_bytes(usual[:second] + comment + usual[second:])
    cost.refuse_costly(tmp_path / "usual.jpg")
    whole = many_scans(300)
    (tmp_path / "costly.jpg").write_bytes(whole[:second] + comment + whole[second:])
    with pytest.raises(ValueError, match="more than 100 scans"):
        cost.refuse_costly(tmp_path / "costly.jpg")


def test_limits_of_time_and_memory_break_the_file_and_not_the_others(tmp_path):
    Image.new("L", (8000, 6000)).save(tmp_path / "large.png", compress_level=1)
    Image.fromarray(NOISE).save(tmp_path / "small.png")
    how = {"size": 32, "interpolation": "bilinear", "range": [0.0, 65535.0, 0]}
    names = ["small.png", "large.png", "small.png", "large.png"]
    requests = [{"path": str(tmp_path / name), **how} for name in names]
    with bounded.workers(1, seconds=0.1) as decoders:
        answers = list(decoders.map(requests))
    assert [kind for kind, _ in answers] == [b"p", b"r", b"p", b"r"]
    assert answers[1][1].startswith(b"its decoder ended: an image may take 0.1 s")
    assert answers[0] == answers[2]
    with bounded.workers(1, memory=256 * 2**20) as decoders:
        answers = list(decoders.map(requests[:2]))
    assert [kind for kind, _ in answers] == [b"p", b"r"]
    assert b"memory" in answers[1][1] or b"ended" in answers[1][1]


def decoding(start):
    """A process of its own that decodes two files; `start` is done before."""
    code = (
        f"import os, resource, sys\n{start}\nfrom deepsight.data.folder import bounded\n"
        "with bounded.workers(1) as decoders:\n"
        "    print([kind for kind, _ in decoders.map([{'path': ''}] * 2)])"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)


def test_a_smaller_limit_of_memory_is_kept():
    """As that of a batch system, ``ulimit -v``."""
    done = decoding("resource.setrlimit(resource.RLIMIT_AS, (1500 << 20, 1500 << 20))")
    assert done.stdout == "[b'r', b'r']\n", done.stderr


def test_decoders_that_cannot_start_end_the_command():
    done = decoding("sys.executable = '/bin/false'")
    assert done.returncode == 1
    assert "RuntimeError: processes that decode images end at once" in done.stderr


def test_a_folder_names_costly_files_and_keeps_the_order(tmp_path):
    paths = []
    for number in range(4):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(paths[-1])
    paths.insert(2, tmp_path / "scans.jpg")
    paths[2].write_bytes(COSTLY["scans.jpg"][0])
    with (tmp_path / "out").open("w+b") as out:
        assert scan(paths, 8, "bilinear", out) == {2: "a JPEG of more than 100 scans"}
    pixels = np.fromfile(tmp_path / "out", np.uint8).reshape(4, 8, 8, 3)
    assert pixels[:, 0, 0, 0].tolist() == [0, 1, 2, 3]


def folder_of_two(root):
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for number in range(12):
            Image.fromarray(NOISE).save(root / name / f"{number}.png")
    return DataConfig(name=f"folder:{root}")


def test_folders_nested_very_deep_are_refused_in_a_line(tmp_path):
    config = folder_of_two(tmp_path / "data")
    here = os.open(tmp_path / "data" / "a", os.O_RDONLY)
    for _ in range(1200):  # longer than a path may be: step by step
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    try:
        with pytest.raises(UserError, match=r"nested more than 100 deep in .*data/a\.$"):
            list_folder(config)
    finally:
        subprocess.run(["rm", "-rf", str(tmp_path / "data")], check=True)


def test_links_that_may_not_be_looked_at_are_broken_files(tmp_path):
    config = folder_of_two(tmp_path / "data")
    (tmp_path / "data" / "a" / "x.png").symlink_to("x" * 300)  # even root may not look there
    assert "a/x.png" in list_folder(config).files
    check_folder(config)
    (tmp_path / "data" / "c").symlink_to("x" * 300)
    with pytest.raises(UserError, match="is a link to x*, which is not there or may not be read"):
        list_folder(config)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become somebody else")
def test_links_into_the_folder_of_somebody_else_are_broken_files(tmp_path):
    config = folder_of_two(tmp_path / "data")
    (tmp_path / "private" / "inner").mkdir(parents=True)
    (tmp_path / "private").chmod(0o700)
    (tmp_path / "data" / "a" / "x.png").symlink_to(tmp_path / "private" / "inner" / "x.png")
    (tmp_path / "data" / "a" / "y").symlink_to(tmp_path / "private" / "inner")
    code = (
        "import os\n"
        "from deepsight.config import DataConfig\n"
        "from deepsight.data.folder.image_folder import list_folder\n"
        "os.setuid(54321)\n"
        f"found = list_folder(DataConfig(name={config.name!r}))\n"
        "print(len(found.files), dict(found.left_out))\n"
    )
    for folder in itertools.takewhile(
        Path(tempfile.gettempdir()).__ne__, [tmp_path, *tmp_path.parents]
    ):
        folder.chmod(0o755)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout == "25 {'other_files': 1}\n", done.stderr
