import os
import time

import numpy as np
import pytest
from PIL import Image

from deepsight.config import DataConfig, UserError
from deepsight.data.datasets import check_source, load_dataset, open_test
from deepsight.data.folder import decode, image_folder
from deepsight.data.raw import left_out

ALL = (".jpg", ".png", ".bmp", ".webp", ".gif", ".JPEG")


def config(root, **more):
    return DataConfig(name=f"folder:{root}", **more)


def refused(root):
    """The error of the quick check; it must come without opening a file."""
    start = time.process_time()
    with pytest.raises(UserError) as caught:
        check_source(config(root))
    assert time.process_time() - start < 1
    assert "\n" not in caught.value.cause + caught.value.remedy
    return caught.value


def test_a_folder_of_all_formats(tmp_path, write_images):
    for name in ("glass", "paper", "metal"):
        write_images(tmp_path / name, 12, size=40, suffixes=ALL)
    check_source(config(tmp_path))
    dataset = load_dataset(config(tmp_path))
    assert dataset.classes == ("glass", "metal", "paper")
    assert dataset.image_size == image_folder.DEFAULT_SIZE
    assert {s: sum(c.values()) for s, c in dataset.counts.items()} == {
        "train": 24,
        "val": 6,
        "test": 6,
    }
    assert str(tmp_path) in dataset.source
    assert not dataset.embedded
    assert not (dataset.path / "scratch").exists()


def test_pixels_and_labels_belong_together(tmp_path):
    for value, name in enumerate("abc"):
        for i in range(10):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.new("RGB", (9, 9), (value, i, 50)).save(tmp_path / name / f"{i}.png")
    dataset = load_dataset(config(tmp_path, image_size=4))
    for split in (dataset.train, dataset.val, open_test(dataset)):
        assert (split.images[:, 0, 0, 0] == split.labels).all()


def test_the_split_is_the_same_at_every_size_and_interpolation(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(20):  # grey level says which file it is
            Image.new("L", (9, 9), i + 100 * (name == "b")).save(tmp_path / name / f"{i}.png")
    views = [
        load_dataset(config(tmp_path, image_size=size, interpolation=how))
        for size, how in [(8, "bilinear"), (8, "bicubic"), (24, "bilinear")]
    ]
    which = [view.val.images[:, 0, 0, 0].tolist() for view in views]
    assert which[0] == which[1] == which[2]
    assert len({view.path for view in views}) == 3


def test_deeper_folders_belong_to_their_class(tmp_path, write_images):
    write_images(tmp_path / "a" / "first" / "walk", 5)
    write_images(tmp_path / "a" / "second", 5, seed=1)
    write_images(tmp_path / "b", 6)
    assert len(image_folder.list_folder(config(tmp_path)).files) == 16


def test_hidden_and_other_files_are_left_out(tmp_path, write_images):
    for name in ("a", "b", ".git", "__MACOSX"):
        write_images(tmp_path / name, 6)
    (tmp_path / "a" / ".DS_Store").write_text("x")
    (tmp_path / "a" / "._0001.png").write_text("x")
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / "labels.csv").write_text("x")
    listing = image_folder.list_folder(config(tmp_path))
    assert (listing.classes, len(listing.files)) == (("a", "b"), 12)
    assert listing.left_out == {"hidden_images": 13, "other_files": 1}


def test_links_are_followed_and_loops_end(tmp_path, write_images):
    root = tmp_path / "root"
    write_images(tmp_path / "elsewhere", 6)
    write_images(root / "a", 6, seed=1)
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "top").symlink_to("/")
    (root / "a" / "self").symlink_to(root / "a")
    (root / "a" / "sibling").symlink_to(root / "b")
    (root / "a" / "knot").symlink_to("knot")
    listing = image_folder.list_folder(config(root))
    assert np.bincount(listing.labels).tolist() == [6, 6]


def test_pipes_are_not_waited_for(tmp_path, write_images):
    for name in "ab":
        write_images(tmp_path / name, 6)
    os.mkfifo(tmp_path / "a" / "pipe.png")
    assert len(load_dataset(config(tmp_path)).dropped["broken_files"]) == 0


def test_folders_named_after_splits_keep_them(tmp_path, write_images):
    for split, num in (("train", 10), ("valid", 3), ("Test", 4)):
        for name in "ab":
            write_images(tmp_path / split / name, num, seed=num)
    check_source(config(tmp_path))
    dataset = load_dataset(config(tmp_path))
    assert {s: c["a"] for s, c in dataset.counts.items()} == {"train": 10, "val": 3, "test": 4}


def test_a_missing_val_folder_is_cut_from_train(tmp_path, write_images):
    for split, num in (("train", 10), ("test", 4)):
        for name in "ab":
            write_images(tmp_path / split / name, num, seed=num)
    counts = load_dataset(config(tmp_path, val_fraction=0.3)).counts
    assert {s: c["a"] for s, c in counts.items()} == {"train": 7, "val": 3, "test": 4}


def test_what_is_left_out_is_counted_by_reason(tmp_path, write_images, caplog):
    root = tmp_path / "root"
    for split in ("train", "val"):
        for name in "ab":
            write_images(root / split / name, 8, seed=len(split))
    write_images(root / "test", 4)
    write_images(root / "pred" / "deep", 3)
    write_images(root, 1)
    write_images(root / "train", 2, seed=1)
    write_images(root / "train" / "a" / "@eaDir", 5)
    write_images(root / ".thumbnails", 6)
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "notes.txt", "x.jp2", "y.JP2", "z.cr2"):
        (root / "train" / "a" / name).write_text("x")
    dataset = load_dataset(config(root))
    assert left_out(dataset.dropped) == {
        "no_class": 7,
        "outside_classes": 3,
        "hidden_images": 11,
        "other_files": 1,
        "unread_formats": 3,
    }
    assert "images are left out, 1 .cr2, 2 .jp2. Convert .cr2, .jp2 to PNG" in caplog.text
    assert "left out 7 images of splits without classes" in caplog.text


def test_tiff_is_read_beside_others_and_alone(tmp_path, write_images):
    for name in "ab":
        write_images(tmp_path / "half" / name, 12, suffixes=(".png", ".tif"))
        write_images(tmp_path / "all" / name, 12, suffixes=(".tiff", ".TIF"))
    for root in ("half", "all"):
        dataset = load_dataset(config(tmp_path / root))
        assert sum(sum(c.values()) for c in dataset.counts.values()) == 24
        assert left_out(dataset.dropped) == {}


def plain_formats():
    return ("JPEG", "PNG", "TIFF")


def test_heic_and_avif_are_read_or_named(tmp_path, write_images, monkeypatch, caplog):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    for name in "ab":
        write_images(tmp_path / name, 12, size=40, suffixes=(".heic", ".avif", ".png"))
    dataset = load_dataset(config(tmp_path, image_size=8))
    assert sum(sum(c.values()) for c in dataset.counts.values()) == 24

    monkeypatch.setattr(decode, "formats", plain_formats)
    with pytest.raises(UserError, match="class 'a' .* has 4 images") as caught:
        check_source(config(tmp_path, image_size=8))
    assert "pip install 'deepsight[heif]'" in caught.value.remedy
    for name in "ab":
        write_images(tmp_path / name, 9, size=40, seed=1, suffixes=(".jpg",))
    dataset = load_dataset(config(tmp_path, image_size=16))
    assert left_out(dataset.dropped) == {"unread_formats": 16}
    assert "8 .avif, 8 .heic. For HEIC: pip install 'deepsight[heif]'" in caplog.text


def test_a_folder_without_one_readable_image(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(6):
            (tmp_path / name / f"{i}.jp2").write_text("x")
    error = refused(tmp_path)
    assert "class 'a'" in error.cause
    assert error.remedy == "Convert .jp2 to PNG, TIFF or JPEG."
    with pytest.raises(UserError, match="no images") as caught:
        load_dataset(config(tmp_path))
    assert caught.value.remedy == error.remedy


def test_files_that_come_while_packing_are_found_out(tmp_path, write_images, monkeypatch):
    for name in "ab":
        write_images(tmp_path / name, 6)

    def decode_slowly(*args):
        write_images(tmp_path / "a", 7)
        return scan(*args)

    scan = image_folder.scan
    monkeypatch.setattr(image_folder, "scan", decode_slowly)
    with pytest.raises(UserError, match="changed while it was packed"):
        load_dataset(config(tmp_path))


def test_a_few_broken_files_are_named_and_skipped(tmp_path, write_images, caplog):
    paths = [*write_images(tmp_path / "a", 100), *write_images(tmp_path / "b", 100)]
    paths[7].write_bytes(paths[7].read_bytes()[:-40])
    paths[150].unlink()
    paths[150].symlink_to(tmp_path / "nowhere")
    dataset = load_dataset(config(tmp_path, image_size=8))
    assert set(dataset.dropped["broken_files"]) == {"a/0007.png", "b/0050.png"}
    assert sum(sum(c.values()) for c in dataset.counts.values()) == 198
    assert "a/0007.png" in caplog.text


def test_more_than_one_percent_broken_is_refused_with_names(tmp_path, write_images, fresh_cache):
    paths = [*write_images(tmp_path / "a", 100), *write_images(tmp_path / "b", 100)]
    for path in paths[:3]:
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"3 of 200 files.*a/0000\.png.*a/0002\.png"):
        load_dataset(config(tmp_path, image_size=8))
    assert not [p for p in (fresh_cache / "data").iterdir() if p.is_dir()]


def test_the_pack_is_made_again_when_a_file_changes(tmp_path, write_images, fresh_cache):
    from deepsight.data import datasets

    for name in "ab":
        write_images(tmp_path / name, 6)
    first = load_dataset(config(tmp_path))
    write_images(tmp_path / "a", 7)
    assert load_dataset(config(tmp_path)) is first  # one process, one view
    datasets._load.cache_clear()
    second = load_dataset(config(tmp_path))
    assert sum(second.counts["train"].values()) == sum(first.counts["train"].values()) + 1


def test_copies_in_two_classes_are_left_out(tmp_path, write_images):
    for name in "ab":
        write_images(tmp_path / name, 8)
    (tmp_path / "b" / "copy.png").write_bytes((tmp_path / "a" / "0003.png").read_bytes())
    dropped = load_dataset(config(tmp_path)).dropped
    assert dropped["conflicting_names"] == ["a/0003.png", "b/copy.png"]


def test_a_missing_folder(tmp_path):
    error = refused(tmp_path / "absent")
    assert f"{tmp_path / 'absent'} does not exist" in error.cause
    (tmp_path / "file").write_text("")
    assert "is not a folder" in refused(tmp_path / "file").cause
    assert "folder:PATH" in refused("").remedy


def test_an_empty_folder(tmp_path, write_images):
    assert "no class sub-folders" in refused(tmp_path).cause
    write_images(tmp_path, 6)
    assert "one sub-folder for each class" in refused(tmp_path).remedy


def test_a_single_class(tmp_path, write_images):
    write_images(tmp_path / "only", 6)
    assert "only one class, 'only'" in refused(tmp_path).cause


def test_a_class_with_too_few_images(tmp_path, write_images):
    write_images(tmp_path / "many", 20)
    write_images(tmp_path / "few", 4)
    error = refused(tmp_path)
    assert "'few'" in error.cause
    assert "4 images" in error.cause
    with pytest.raises(UserError, match="'few'"):
        load_dataset(config(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path, write_images):
    write_images(tmp_path / "a", 6)
    write_images(tmp_path / "b", 6)
    (tmp_path / "b").chmod(0)
    try:
        assert "cannot be read" in refused(tmp_path).cause
    finally:
        (tmp_path / "b").chmod(0o755)


def test_names_in_any_script_and_bytes(tmp_path, write_images):
    for name in ("été", "漢字 x"):
        write_images(tmp_path / name, 6)
    odd = os.fsencode(tmp_path / "été") + b"/\xff.png"
    with open(odd, "wb") as file:  # noqa: PTH123
        Image.new("RGB", (5, 5)).save(file, "PNG")
    assert sum(load_dataset(config(tmp_path)).counts["train"].values()) > 0
