"""Pixels taken away: filled from around, set to one colour, or blurred."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

DIRECT, DIAGONAL = 1 / 6, 1 / 12
"""Weights of a pixel's neighbours (Rong et al. 2022, section 4)."""

NOISE = 0.01
"""Standard deviation of what is added to filled pixels, in units of each channel's deviation."""

BLUR = 1 / 8
"""Standard deviation of the blur, as a share of the side."""

COARSE = 64
"""Side in pixels from which on filling begins at half the size."""

TOLERANCE = 2e-3
MAX_ITERATIONS = 400


def fill_from_around(
    images: Tensor, missing: Tensor, generator: torch.Generator, noise: float = NOISE
) -> Tensor:
    """Noisy linear imputation (Rong et al. 2022): each missing pixel is the mean of its neighbours.

    Neighbours count by `DIRECT` and `DIAGONAL`, those that are missing themselves included; the
    linear system is solved for all images at once by conjugate gradients, to `TOLERANCE` of its
    right side, where the paper solves it directly. Where all of an image is missing it becomes
    zero.

    Args:
        images: (N, 3, H, W) float.
        missing: (N, H, W) bool.
        generator: Of the noise.
        noise: Its standard deviation, by that of a channel over `images`.

    Returns:
        (N, 3, H, W): `images` with its missing pixels replaced.
    """
    hole = missing[:, None].to(images.dtype)
    known = images * (1 - hole)
    filled = _solve(known, hole)
    empty = missing.all(2).all(1)[:, None, None, None]
    spread = images.std((0, 2, 3), keepdim=True)
    grain = torch.randn(images.shape, generator=generator).to(images)
    filled = filled.masked_fill(empty, 0) + noise * spread * grain
    return known + hole * filled


def _solve(known: Tensor, hole: Tensor) -> Tensor:
    """What the known pixels give on the missing ones, (N, C, H, W); zero elsewhere."""
    weight = _neighbours(torch.ones_like(known[:1, :1]))
    target = hole * _neighbours(known)
    # (weight - neighbours) x = what the known neighbours give, on the missing pixels
    return _conjugate_gradients(target, _guess(known, hole), hole, weight)


def _guess(known: Tensor, hole: Tensor) -> Tensor:
    """Where to begin: the mean colour; of large images the solution at half the size.

    A hole's inside hears of its rim one pixel an iteration: half the pixels, half of them.
    """
    height, width = known.shape[2:]
    if min(height, width) < COARSE or height % 2 or width % 2:
        share = (1 - hole).sum((2, 3), keepdim=True).clamp(1)
        return hole * known.sum((2, 3), keepdim=True) / share
    share = F.avg_pool2d(1 - hole, 2)
    small_hole = (share == 0).to(known.dtype)
    small = F.avg_pool2d(known, 2) / share.clamp(min=0.25)
    small = small + _solve(small, small_hole)
    return hole * F.interpolate(small, scale_factor=2, mode="bilinear")


def _conjugate_gradients(target: Tensor, guess: Tensor, hole: Tensor, weight: Tensor) -> Tensor:
    def apply(x: Tensor) -> Tensor:
        return (weight * x).sub_(_neighbours(x)).mul_(hole)

    def dot(a: Tensor, b: Tensor) -> Tensor:
        products: Tensor = torch.linalg.vecdot(a.flatten(2), b.flatten(2))
        return products[:, :, None, None]

    solution = guess.clone()
    residual = target - apply(guess)
    direction, power = residual.clone(), dot(residual, residual)
    enough = TOLERANCE**2 * dot(target, target).clamp(min=1e-12)
    for _ in range(MAX_ITERATIONS):
        if bool((power <= enough).all()):
            break
        changed = apply(direction)
        step = power / dot(direction, changed).clamp(min=1e-20)
        step = torch.where(power > enough, step, torch.zeros_like(step))
        solution.addcmul_(step, direction)
        residual.addcmul_(step, changed, value=-1)
        renewed = dot(residual, residual)
        direction.mul_(renewed / power.clamp(min=1e-20)).add_(residual)
        power = renewed
    return solution


def _neighbours(x: Tensor) -> Tensor:
    """The weighted sum of the eight neighbours; there are none beyond the border."""
    # (1, 2, 1) down and across makes 4, 2 and 1 times DIAGONAL; several times faster than conv2d
    down = 2 * x
    down[:, :, 1:] += x[:, :, :-1]
    down[:, :, :-1] += x[:, :, 1:]
    across = 2 * down
    across[..., 1:] += down[..., :-1]
    across[..., :-1] += down[..., 1:]
    return across.sub_(x, alpha=4).mul_(DIAGONAL)


def blurred(images: Tensor, within: Tensor | None = None) -> Tensor:
    """`images` (N, C, H, W) under a Gaussian of `BLUR`; pixels outside the image do not count.

    Args:
        images: Float.
        within: (N, H, W) bool: only these pixels are mixed into one another.
    """
    weight = torch.ones_like(images[:, :1]) if within is None else within[:, None].to(images.dtype)
    smooth, total = _smoothed(images * weight), _smoothed(weight)
    return smooth / total.clamp(min=1e-6)


def _smoothed(x: Tensor) -> Tensor:
    """Sums over rows and columns, as two products of matrices: many times faster than conv2d."""
    sigma = BLUR * x.shape[-1]
    down, across = (_smoothing(side, sigma, x) for side in x.shape[2:])
    return down @ x @ across


def _smoothing(side: int, sigma: float, like: Tensor) -> Tensor:
    """(side, side) symmetric: the Gaussian at every distance, cut off at three deviations."""
    radius = math.ceil(3 * sigma)
    places = torch.arange(side, dtype=like.dtype, device=like.device)
    distance = places[:, None] - places[None, :]
    kernel = torch.exp(-0.5 * (distance / sigma) ** 2) * (distance.abs() <= radius)
    steps = torch.arange(-radius, radius + 1, dtype=like.dtype, device=like.device)
    return kernel / torch.exp(-0.5 * (steps / sigma) ** 2).sum()
