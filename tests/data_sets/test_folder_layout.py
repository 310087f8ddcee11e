"""Which sub-folders are classes and which are splits: a table of folders that people have.

A layout is written as paths of folders; each gets six images. A blank name is an empty folder.
"""

import unicodedata

import pytest

from deepsight.config import DataConfig, UserError
from deepsight.data.datasets import check_source, load_dataset
from deepsight.data.folder.image_folder import list_folder
from deepsight.data.folder.layout import read_layout, split_roles


@pytest.fixture
def folder(tmp_path, write_images):
    def make(layout):
        for path in layout.split():
            write_images(tmp_path / path, 6, seed=len(path))
        return DataConfig(name=f"folder:{tmp_path}", image_size=8)

    return make


def tree(*tops, classes="cat dog"):
    return " ".join(f"{top}/{name}" for top in tops for name in classes.split())


def read(config):
    """The classes and, by split, the images of each; "" where no split is named."""
    check_source(config)
    listing = list_folder(config)
    splits = listing.splits or [""] * len(listing.files)
    counts = {}
    for split, label in zip(splits, listing.labels, strict=True):
        counts[split] = counts.get(split, 0) + (label == 0)
    return " ".join(listing.classes), counts


ALL = {"train": 6, "val": 6, "test": 6}
TWO = {"train": 6, "test": 6}

SPLITS = {
    "plain": (tree("train", "val", "test"), ALL),
    "with pred": (tree("train", "val", "test") + " pred", ALL),
    "dev": (tree("train", "dev", "test"), ALL),
    "words": (tree("Training", "Validation", "Testing"), ALL),
    "intel": (tree("seg_train/seg_train", "seg_test/seg_test") + " seg_pred/seg_pred", TWO),
    "sets": (tree("training_set", "test_set"), TWO),
    "glued": (tree("trainset", "valdata", "testImages"), ALL),
    "camel": (tree("TrainingSet", "TestSet"), TWO),
    "years": (tree("train2017", "val2017"), {"train": 6, "val": 6}),
    "prefix": (tree("birds-train", "birds-valid"), {"train": 6, "val": 6}),
    "eval beside test": (tree("train", "eval", "test"), ALL),
    "eval beside val": (tree("training", "validation", "evaluation"), ALL),
    "flat test": (tree("train", "val") + " test", {"train": 6, "val": 6}),
    "only train": (tree("train"), {"train": 6}),
    "one root": (tree("data/train", "data/val", "data/test"), ALL),
    "two roots": (tree("archive/data/train", "archive/data/test"), TWO),
    "thumbnails": (tree("train", "test", "@eaDir", "__MACOSX/train", ".thumbnails"), TWO),
}


@pytest.mark.parametrize("name", SPLITS)
def test_splits_are_recognised(name, folder):
    layout, counts = SPLITS[name]
    assert read(folder(layout)) == ("cat dog", counts)


CLASSES = {
    "plain": ("cat dog", "cat dog"),
    "words in names": ("training_shoes test_tubes valves", "test_tubes training_shoes valves"),
    "shared word": ("test_tubes test_strips", "test_strips test_tubes"),
    "a train is a vehicle": ("car bus plane train", "bus car plane train"),
    "valid and invalid": ("valid invalid", "invalid valid"),
    "one fold": ("fold1 crease", "crease fold1"),
    "deeper folders": ("cat/tom cat/felix dog/rex", "cat dog"),
    "one same folder": ("cat/images dog/images", "cat dog"),
    "one root": ("animals/cat animals/dog", "cat dog"),
    "two roots": ("archive/animals/cat archive/animals/dog", "cat dog"),
    "two roots of one name": ("animals/animals/cat animals/animals/dog", "cat dog"),
    "system": (
        "cat dog cat/@eaDir/im.png dog/.ipynb_checkpoints @eaDir __MACOSX/cat .thumbnails"
        " #recycle $RECYCLE.BIN lost+found",
        "cat dog",
    ),
}


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_recognised(name, folder):
    layout, classes = CLASSES[name]
    assert read(folder(layout)) == (classes, {"": 12 if name == "deeper folders" else 6})


REFUSED = {
    "folds": (tree("fold0", "fold1", "fold2"), "fold0, fold1, fold2 look like parts of a cross"),
    "flat folds": ("fold_1 fold_2", "look like parts of a cross-validation"),
    "flat splits": ("train test", "test, train look like splits, but hold no folders of classes"),
    "flat splits twice": ("train/train test/test", "train holds train"),
    "no train": (tree("val", "test"), "not like one train, val and test"),
    "train twice": (tree("train", "training", "test"), "not like one train, val and test"),
    "eval alone": (tree("train", "eval"), "may be the val or the test split"),
    "a test among classes": ("cat dog test", "test may be a split or a class beside cat, dog"),
    "a train with folders": (f"cat dog {tree('train')}", "train may be a split or a class"),
    "another among splits": (tree("train", "val", "test", "chest/train"), "chest beside them"),
    "other classes in test": (
        f"{tree('train')} {tree('test', classes='cat bird')}",
        "test holds bird, which train does not",
    ),
    "a class missing in val": (f"{tree('train')} val/cat", "no folder dog, which train has"),
    "unknown in test": (f"{tree('train')} test/unknown", "test holds unknown"),
    "splits in train": (tree("train/train", "train/val", "test"), "train holds train, val"),
    "splits below classes": (tree("cat", "dog", classes="train test"), "cat holds the splits"),
    "splits below one class": ("cat/train cat/test dog", "cat holds the splits test, train"),
    "test below classes": ("cat/test cat dog/test dog", "hold the same folders test"),
    "years": (tree("2023", "2024"), "2023, 2024 hold the same folders cat, dog: either"),
    "numbered trains": (tree("train1", "train2"), "not like one train, val and test"),
    "masks": (tree("cat", "dog", classes="images masks"), "the same folders images, masks"),
    "years in train": (tree("train/a", "train/b", "test"), "a, b hold the same folders cat, dog"),
    "one class": ("cat", "has only one class, 'cat'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused(name, folder):
    layout, cause = REFUSED[name]
    config = folder(layout)
    with pytest.raises(UserError) as caught:
        check_source(config)
    assert cause in caught.value.cause
    assert caught.value.remedy
    assert "\n" not in caught.value.cause + caught.value.remedy
    with pytest.raises(UserError):
        load_dataset(config)


def test_a_word_for_a_split_that_is_a_class_is_said(folder, caplog):
    load_dataset(folder("car train"))
    assert "the folder train is taken for a class" in caplog.text


def test_annotations_beside_splits_are_no_class(tmp_path, folder):
    config = folder(tree("train", "test"))
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "boxes.json").write_text("{}")
    assert read(config) == ("cat dog", TWO)


def test_an_empty_class_is_not_taken_for_rubbish(tmp_path, folder):
    config = folder("animals/cat animals/dog")
    (tmp_path / "birds").mkdir()
    with pytest.raises(UserError, match="'birds'.* has 0 images"):
        check_source(config)


def test_links_that_lead_back_end(tmp_path, folder):
    folder("a/b/cat a/b/dog")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path)
    assert [f.name for f in read_layout(tmp_path).folders] == ["cat", "dog", "up"]
    (tmp_path / "ring").mkdir()
    (tmp_path / "ring" / "ring").symlink_to(tmp_path / "ring")
    assert read_layout(tmp_path / "ring").folders


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        ("x_train y_test", ["", ""]),
        ("x_train x_test", ["train", "test"]),
        ("été_train été_test", ["train", "test"]),
        ("fold1 fold2", ["fold", "fold"]),
        ("fold1 fold", ["", ""]),
        ("train", ["train"]),
        ("trainer tester", ["", ""]),
        ("TRAIN Test_Images", ["train", "test"]),
    ],
)
def test_roles_by_name(names, roles):
    assert split_roles(names.split()) == roles


def test_a_name_is_one_class_however_its_accents_are_encoded(tmp_path, folder, caplog):
    whole, apart = (unicodedata.normalize(form, "Käfer") for form in ("NFC", "NFD"))
    assert read(folder(f"{whole} dog {apart}")) == (f"{whole} dog", {"": 12})
    (tmp_path / "splits").mkdir()
    folder(f"splits/train/{whole} splits/train/dog splits/val/{apart} splits/val/dog")
    splits = DataConfig(name=f"folder:{tmp_path / 'splits'}", image_size=8)
    assert read(splits) == (f"{whole} dog", {"train": 6, "val": 6})


def test_classes_that_differ_only_in_case_are_said(folder, caplog):
    load_dataset(folder("Cat cat dog A a"))
    assert "the classes Cat and cat differ only in case" in caplog.text
    assert "A and a" not in caplog.text  # letters of a hand


def test_a_link_to_a_class_that_is_not_there_is_refused(tmp_path, folder):
    config = folder("cat dog")
    (tmp_path / "bird").symlink_to(tmp_path / "unmounted")
    for find in (check_source, load_dataset):
        with pytest.raises(UserError, match="bird is a link to .*unmounted, which is not there"):
            find(config)
