"""The operations of the reference pipeline on whole batches, each image with its own parameters.

A batch is augmented in three steps: `draw_uniform` turns a generator into numbers on the host,
`draw` turns these into the parameters of every image, `vary` applies them. The order is crop, flip,
rotation with zoom, colour, normalisation, cutout. Two departures from `deepsight.augment.cpu`:
values are not rounded to whole levels between the operations, and colours are clipped once, after
all three factors, not after each.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view
from torch import Generator, Tensor

from deepsight.augment.amounts import Amounts, Triple, amounts
from deepsight.config import AugmentConfig

_LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601), as OpenCV has them."""

_CPU_BLOCK_PIXELS = 128 * 32 * 32
"""Varied at a time on a CPU, so that what is computed in between stays small (1.5 MB a copy)."""


@dataclass(frozen=True)
class Draws:
    """The parameters of each image of a batch; None where the operation is off.

    Attributes:
        crop: (N, 2) int64, top and left of the crop in the padded image, 0..2 * pad.
        flip: (N,) bool, whether the image is mirrored.
        affine: (N, 2) float32, angle in radians and zoom factor.
        colour: (N, 3) float32, factors of brightness, contrast and saturation.
        hole: (N, 2) int64, top and left of the erased square.
    """

    crop: Tensor | None
    flip: Tensor | None
    affine: Tensor | None
    colour: Tensor | None
    hole: Tensor | None

    def part(self, some: slice) -> Draws:
        """The draws of some of the images."""
        fields = (self.crop, self.flip, self.affine, self.colour, self.hole)
        return Draws(*(None if field is None else field[some] for field in fields))


@dataclass(frozen=True)
class BatchedAugment:
    """The whole-batch `Augment`: what the host draws, and what the device makes of it.

    Attributes:
        vary: Images, (N, S, S, 3) uint8, and uniform numbers, (N, 10) float32, both on the device,
            to network inputs; nothing else decides about them.
    """

    vary: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """As `Augment`."""
        numbers = draw_uniform(len(images), generator)
        if images.device.type == "cuda":
            # not waited for: a GPU that still trains on the last batch goes on
            numbers = numbers.pin_memory().to(images.device, non_blocking=True)
        return self.vary(images, numbers)


def build_batched(config: AugmentConfig, mean: Triple, std: Triple) -> BatchedAugment:
    """Build the whole-batch `Augment`, for CPU and GPU."""

    def vary_by(images: Tensor, numbers: Tensor) -> Tensor:
        amount = amounts(config, images.shape[1])
        return vary(images, draw(amount, numbers), amount, mean, std)

    return BatchedAugment(vary_by)


def draw_uniform(count: int, generator: Generator) -> Tensor:
    """Numbers in 0..1 for `count` images, (count, 10) float32, on the CPU.

    An operation that is off draws its numbers too (and drops them): configurations that differ
    in one magnitude then agree in all other parameters.
    """
    return torch.rand(count, 10, generator=generator)


def draw(amount: Amounts, u: Tensor) -> Draws:
    """The parameters of the images that have `u`, as from `draw_uniform`, on any device."""
    signed = u * 2 - 1
    affine = colour = None
    if amount.rotate or amount.zoom:
        angle = signed[:, 3] * math.radians(amount.rotate)
        affine = torch.stack([angle, 1 + signed[:, 4] * amount.zoom], 1)
    if amount.colour:
        colour = 1 + signed[:, 5:8] * amount.colour
    return Draws(
        crop=(u[:, 0:2] * (2 * amount.pad + 1)).long() if amount.pad else None,
        flip=u[:, 2] < 0.5 if amount.flip else None,
        affine=affine,
        colour=colour,
        hole=(u[:, 8:10] * (amount.side - amount.hole + 1)).long() if amount.hole else None,
    )


def vary(images: Tensor, draws: Draws, amount: Amounts, mean: Triple, std: Triple) -> Tensor:
    """Apply `draws` to a batch.

    Args:
        images: (N, S, S, 3), uint8; left as it is.
        draws: As drawn for these images, on their device.
        amount: What the parameters were drawn for.
        mean: Mean of the training images, in 0..1.
        std: Standard deviation of the training images, in 0..1.

    Returns:
        (N, 3, S, S), float32, normalised, channels_last.
    """
    assert images.shape[1] == images.shape[2] == amount.side, images.shape
    block = max(1, _CPU_BLOCK_PIXELS // amount.side**2)
    if images.device.type != "cpu" or len(images) <= block:
        return _vary_block(images, draws, amount, mean, std)
    varied = torch.empty(images.shape, dtype=torch.float32).permute(0, 3, 1, 2)
    for start in range(0, len(images), block):
        some = slice(start, start + block)
        varied[some] = _vary_block(images[some], draws.part(some), amount, mean, std)
    return varied


def _vary_block(images: Tensor, draws: Draws, amount: Amounts, mean: Triple, std: Triple) -> Tensor:
    on_cpu = images.device.type == "cpu"
    # a rotation mirrors at no cost: by the sign of where it reads
    flip = draws.flip if draws.affine is None else None
    if draws.crop is not None or flip is not None:
        shift = _shift_by_window if on_cpu else _shift_by_index
        images = shift(images, draws.crop, flip, amount.pad)
    if draws.affine is None and draws.colour is None:
        varied = normalise(images, mean, std)
    else:
        planes = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        if draws.affine is not None:
            planes = _rotate_and_zoom(planes, draws.affine, draws.flip)
        if draws.colour is not None:
            planes = _recolour(planes, draws.colour)
        varied = _normalise_planes(planes, mean, std)
    if draws.hole is not None:
        (_erase_by_window if on_cpu else _erase_by_mask)(varied, draws.hole, amount.hole)
    return varied


def _shift_by_window(images: Tensor, crop: Tensor | None, flip: Tensor | None, pad: int) -> Tensor:
    """Crop and mirror (N, S, S, 3) uint8 on the CPU: one copy of a window for each image."""
    count, side = images.shape[:2]
    # a pixel as one item of three bytes: copies of strided pixels take half the time
    pixels = images.contiguous().numpy().view("V3")[..., 0]
    if crop is None:
        shifted = pixels.copy()
    else:
        top, left = crop.numpy().T
        rows = _pad_by_mirror(pixels, pad).view(np.uint8)
        windows = sliding_window_view(rows, (side, 3 * side), axis=(1, 2))
        shifted = windows[np.arange(count), top, 3 * left].view("V3")
    if flip is not None:
        mirrored = flip.numpy().nonzero()[0]
        shifted[mirrored] = shifted[mirrored, :, ::-1]
    return torch.from_numpy(shifted.view(np.uint8).reshape(images.shape))


def _pad_by_mirror(pixels: np.ndarray, pad: int) -> np.ndarray:
    """`np.pad` with "reflect" of the last two axes of (N, S, S), three times as fast."""
    count, side = pixels.shape[:2]
    end = pad + side
    padded = np.empty((count, side + 2 * pad, side + 2 * pad), pixels.dtype)
    middle = padded[:, pad:end]
    middle[:, :, pad:end] = pixels
    middle[:, :, :pad] = pixels[:, :, pad:0:-1]
    middle[:, :, end:] = pixels[:, :, -2 : -2 - pad : -1]
    padded[:, :pad] = padded[:, 2 * pad : pad : -1]
    padded[:, end:] = padded[:, end - 2 : side - 2 : -1]
    return padded


def _shift_by_index(images: Tensor, crop: Tensor | None, flip: Tensor | None, pad: int) -> Tensor:
    """Crop and mirror (N, S, S, 3) uint8 on any device: one indexed read of every pixel."""
    count, side = images.shape[:2]
    rows = columns = torch.arange(side, device=images.device).expand(count, side)
    if flip is not None:
        columns = torch.where(flip[:, None], side - 1 - columns, columns)
    if crop is not None:
        rows = _mirrored(rows + crop[:, :1] - pad, side)
        columns = _mirrored(columns + crop[:, 1:] - pad, side)
    image = torch.arange(count, device=images.device)[:, None, None]
    return images[image, rows[:, :, None], columns[:, None, :]]


def _mirrored(index: Tensor, side: int) -> Tensor:
    """Indices beyond 0..side - 1 mirrored at the outermost pixels."""
    index = index.abs()
    return torch.where(index >= side, 2 * (side - 1) - index, index)


def _rotate_and_zoom(planes: Tensor, affine: Tensor, flip: Tensor | None) -> Tensor:
    """Mirror, rotate and zoom (N, 3, S, S) about the centre: bilinear, mirrored at the edges."""
    count, _, side, _ = planes.shape
    # grid_sample counts from -1 (first pixel's centre) to 1 (last pixel's centre)
    x = torch.linspace(-1, 1, side, device=planes.device)
    y = x[:, None]
    cosine = (affine[:, 0].cos() / affine[:, 1])[:, None, None]
    sine = (affine[:, 0].sin() / affine[:, 1])[:, None, None]
    sign = 1 if flip is None else torch.where(flip, -1, 1)[:, None, None]
    # x and y are computed apart, and only seem to lie side by side: much faster
    grid = torch.empty(2, count, side, side, device=planes.device)
    torch.sub(sign * cosine * x, sign * sine * y, out=grid[0])
    torch.add(sine * x, cosine * y, out=grid[1])
    return F.grid_sample(
        planes, grid.permute(1, 2, 3, 0), padding_mode="reflection", align_corners=True
    )


def _recolour(planes: Tensor, colour: Tensor) -> Tensor:
    """Change brightness, contrast and saturation of (N, 3, S, S) in 0..255, in place.

    Contrast c moves pixels from the image's mean grey, saturation s from each pixel's own grey,
    brightness b multiplies. Without clipping the three commute, and come to one map,
    b * (c * (s * x + (1 - s) * grey) + (1 - c) * mean grey).
    """
    brightness, contrast, saturation = colour.T[:, :, None, None]
    red, green, blue = planes.unbind(1)
    grey = red * _LUMA[0]
    grey.add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])
    constant = brightness * (1 - contrast) * grey.mean((1, 2), keepdim=True)
    grey.mul_(brightness * contrast * (1 - saturation)).add_(constant)
    planes.mul_((brightness * contrast * saturation)[:, None]).add_(grey[:, None])
    return planes.clamp_(0, 255)


def _erase_by_window(varied: Tensor, hole: Tensor, side: int) -> None:
    """Set a square in each of (N, 3, S, S), channels_last, on the CPU to the mean, 0."""
    rows = varied.permute(0, 2, 3, 1).flatten(2).numpy()
    windows = sliding_window_view(rows, (side, 3 * side), axis=(1, 2), writeable=True)
    top, left = hole.numpy().T
    windows[np.arange(len(rows)), top, 3 * left] = 0


def _erase_by_mask(varied: Tensor, hole: Tensor, side: int) -> None:
    """Set a square in each of (N, 3, S, S) on any device to the mean, 0."""
    inside = torch.arange(varied.shape[2], device=varied.device) - hole[..., None]
    inside = (inside >= 0) & (inside < side)
    varied.masked_fill_((inside[:, 0, :, None] & inside[:, 1, None, :])[:, None], 0)


def normalise(images: Tensor, mean: Triple, std: Triple) -> Tensor:
    """Normalise (N, H, W, 3) uint8 to (N, 3, H, W) float32, channels_last, on the same device."""
    height, width = images.shape[1:3]
    factor, constant = _factors(mean, std, images.device)
    rows = images.reshape(-1, height, 3 * width).float()
    torch.addcmul(constant.repeat(width), rows, factor.repeat(width), out=rows)
    return rows.view(images.shape).permute(0, 3, 1, 2)


def _normalise_planes(planes: Tensor, mean: Triple, std: Triple) -> Tensor:
    """Normalise (N, 3, H, W) in 0..255, in place, and lay it out channels_last."""
    factor, constant = _factors(mean, std, planes.device)
    planes.mul_(factor[:, None, None]).add_(constant[:, None, None])
    return planes.contiguous(memory_format=torch.channels_last)


@functools.lru_cache(maxsize=64)
def _factors(mean: Triple, std: Triple, device: torch.device) -> tuple[Tensor, Tensor]:
    """``(x / 255 - mean) / std`` as ``x * factor + constant``, three numbers each."""
    spread = torch.tensor(std, dtype=torch.float64)
    centre = torch.tensor(mean, dtype=torch.float64)
    return (1 / (255 * spread)).float().to(device), (-centre / spread).float().to(device)


def resize(images: Tensor, size: int, interpolation: str) -> Tensor:
    """Resize (N, 3, H, W) float32 to (N, 3, size, size), channels_last, on the same device.

    Args:
        images: Normalised images.
        size: New height and width in pixels.
        interpolation: "bilinear" or "bicubic" (which may overshoot a little at edges).
    """
    if images.shape[2:] == (size, size):
        return images
    shrinks = min(images.shape[2:]) > size
    resized = F.interpolate(images, (size, size), mode=interpolation, antialias=shrinks)
    return resized.contiguous(memory_format=torch.channels_last)
