"""scikit-learn's 1,797 scans of handwritten digits: real images that need no download."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepsight.data.raw import RawData

SIZE = 16
"""Side in pixels: the 8x8 scans are enlarged once, so that cropping and pooling have room."""

CLASSES = tuple("0123456789")


def build_digits() -> RawData:
    """Read the scans, enlarge them and repeat the grey channel three times."""
    from sklearn.datasets import load_digits  # takes a second: only when packing

    scans = load_digits()
    grey = np.stack([_enlarge(image) for image in scans.images])
    return RawData(
        images=np.repeat(grey[..., None], 3, axis=3),
        labels=scans.target.astype(np.int64),
        classes=CLASSES,
        source="scikit-learn's load_digits: 1,797 scans of 8x8 pixels, test set of Alpaydin and "
        "Kaynak, Optical Recognition of Handwritten Digits (UCI, 1998), enlarged to 16x16",
    )


def _enlarge(scan: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(8, 8) in 0..16 to (16, 16) uint8."""
    grey = np.rint(scan * (255 / 16)).astype(np.uint8)
    return np.asarray(Image.fromarray(grey).resize((SIZE, SIZE), Image.Resampling.BILINEAR))
