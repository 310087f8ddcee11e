"""Draws solids as seen from far away: a depth buffer, one light, patterns and fur.

Coordinates are pixels of the drawn image: x to the right, y down, z towards the viewer. Each pixel
is sampled `SAMPLES` x `SAMPLES` times.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepsight.data.toy_objects.solids import Array, Paint, Point, Solid, half_extent

SAMPLES = 3
NOISE_SIDE = 256
AMBIENT = 0.42
"""Share of the full light that reaches a surface turned away from it."""


@dataclass(frozen=True)
class Drawing:
    """What a canvas shows: colours premultiplied by coverage, coverage of all and of the object."""

    colours: Array
    """(H, W, 3), 0..1."""
    coverage: Array
    """(H, W), 0..1: of everything drawn."""
    object_coverage: Array
    """(H, W), 0..1: of what is visible of the solids that came first."""


@dataclass(frozen=True)
class Canvas:
    """What has been drawn so far: the paints, and per sample the nearest solid.

    All arrays are (S, S) with S = side x SAMPLES; `owner` counts solids from 1, 0 is none; `share`
    is that of the pattern's colour.
    """

    middles: Array
    """(S,): where along a side the samples lie, in samples."""
    paints: list[Paint]
    depth: Array
    owner: NDArray[np.uint8]
    shade: Array
    share: Array

    @classmethod
    def empty(cls, side: int) -> Canvas:
        """A canvas for an image of `side` x `side` pixels."""
        if side * SAMPLES > NOISE_SIDE:
            raise ValueError(f"at most {NOISE_SIDE // SAMPLES} pixels a side, got {side}")
        shape = (side * SAMPLES, side * SAMPLES)
        return cls(
            np.arange(side * SAMPLES, dtype=np.float32) + np.float32(0.5),
            [],
            np.full(shape, -np.inf, np.float32),
            np.zeros(shape, np.uint8),
            np.zeros(shape, np.float32),
            np.zeros(shape, np.float32),
        )

    def copy(self) -> Canvas:
        """A canvas to try something on."""
        return Canvas(
            self.middles,
            list(self.paints),
            self.depth.copy(),
            self.owner.copy(),
            self.shade.copy(),
            self.share.copy(),
        )

    def num_visible(self, num_object: int) -> int:
        """How many samples show one of the first `num_object` solids."""
        return int(np.count_nonzero((self.owner - np.uint8(1)) < num_object))

    def resolve(self, num_object: int) -> Drawing:
        """The picture, and what of it are the first `num_object` solids."""
        # (3, S, S): gathering and multiplying is several times faster with the channels first
        first = np.array([(0, 0, 0), *(p.colour for p in self.paints)], np.float32).T
        colours = first.take(self.owner, axis=1, mode="clip")
        if any(p.pattern for p in self.paints):
            second = np.array([(0, 0, 0), *(p.second for p in self.paints)], np.float32).T
            colours += (second.take(self.owner, axis=1, mode="clip") - colours) * self.share
        colours *= self.shade
        drawn, own = self.owner > 0, (self.owner - np.uint8(1)) < num_object
        return Drawing(
            _reduce(colours).transpose(1, 2, 0),
            _reduce(drawn.astype(np.float32)),
            _reduce(own.astype(np.float32)),
        )


@dataclass(frozen=True)
class Place:
    """Where in the image a space of solids lies: a point p is drawn at p * `scale` + `shift`."""

    scale: float = 1.0
    shift: Point = (0.0, 0.0, 0.0)


def draw_solid(
    canvas: Canvas, solid: Solid, place: Place, light: Array, rng: np.random.Generator
) -> None:
    """Draw one solid wherever it is nearer than what is there.

    Args:
        canvas: Is drawn on.
        solid: Turned so that z points towards the viewer and y down.
        place: Where in the image.
        light: (3,) unit vector towards the light.
        rng: Places the noise of the fur.
    """
    canvas.paints.append(solid.paint)
    side, fur, scale = len(canvas.depth), solid.paint.fur, place.scale
    cx, cy, cz = (c * scale + s for c, s in zip(solid.centre.tolist(), place.shift, strict=True))
    half_x, half_y, _ = half_extent(solid).tolist()
    fluff = scale * (1 + 0.3 * fur)
    x0, x1 = _span(cx, half_x * fluff, side)
    y0, y1 = _span(cy, half_y * fluff, side)
    if x0 >= x1 or y0 >= y1:
        return
    step = np.float32(1 / (SAMPLES * scale))
    x = (canvas.middles[x0:x1] - SAMPLES * cx) * step
    y = ((canvas.middles[y0:y1] - SAMPLES * cy) * step)[:, None]
    noise = None
    if fur > 0:
        top, left = (rng.random(2) * NOISE_SIDE).astype(int).tolist()
        noise = noise_tile(solid.paint.wool)[top : top + y1 - y0, left : left + x1 - x0]
    z, shade, hit = (_prism if solid.axes is None else _ball)(solid, x, y, light, noise)
    window = (slice(y0, y1), slice(x0, x1))
    ahead, depth = z * scale + cz, canvas.depth[window]
    hit &= ahead > depth
    np.copyto(depth, ahead, where=hit)
    np.copyto(canvas.shade[window], shade, where=hit)
    np.copyto(canvas.owner[window], np.uint8(len(canvas.paints)), where=hit)
    if solid.paint.pattern:
        np.copyto(canvas.share[window], _pattern(solid, x, y, z), where=hit)


def _span(centre: float, half: float, side: int) -> tuple[int, int]:
    """First and one past the last sample within `half` of `centre` (both in pixels)."""
    low = math.floor((centre - half) * SAMPLES)
    high = math.ceil((centre + half) * SAMPLES)
    return max(low, 0), min(high, side)


def _ball(
    solid: Solid, x: Array, y: Array, light: Array, noise: Array | None
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Depth, light and whether it is hit, for samples at (x, y) from the centre of a ball.

    A point p is on the ball where p^T M p = 1 with M = (A A^T)^-1; along z that is a quadratic.
    """
    assert solid.axes is not None
    m00, m01, m02, m11, m12, m22 = _inverse((solid.axes @ solid.axes.T).tolist())
    b = m02 * x + m12 * y
    flat = (m00 * x + (2 * m01) * y) * x + (m11 * y) * y
    edge = np.float32(1.0) if noise is None else 1 + (0.3 * solid.paint.fur) * noise
    inside = b * b + m22 * (edge - flat)
    hit = inside > 0
    z = (np.sqrt(np.maximum(inside, 0)) - b) * (1 / m22)
    # the normal is M p: its product with the light is (M l) p, its squared length p^T M M p
    lx, ly, lz = light.tolist()
    lit = (m00 * lx + m01 * ly + m02 * lz) * x + (m01 * lx + m11 * ly + m12 * lz) * y
    lit = lit + (m02 * lx + m12 * ly + m22 * lz) * z
    n00, n11 = m00 * m00 + m01 * m01 + m02 * m02, m01 * m01 + m11 * m11 + m12 * m12
    n01, n22 = m00 * m01 + m01 * m11 + m02 * m12, m02 * m02 + m12 * m12 + m22 * m22
    n02, n12 = m00 * m02 + m01 * m12 + m02 * m22, m01 * m02 + m11 * m12 + m12 * m22
    length = (n00 * x + (2 * n01) * y) * x + (n11 * y * y + 1e-9)
    length = length + ((2 * n02) * x + (2 * n12) * y + n22 * z) * z
    shade = _shade(lit / np.sqrt(length))
    if noise is not None:
        shade = shade * (1 + (0.35 * solid.paint.fur) * noise)
    return z, shade, hit


def _prism(
    solid: Solid, x: Array, y: Array, light: Array, noise: Array | None
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """The same for a prism: behind all of its front planes and before all of its back planes."""
    assert solid.planes is not None
    # those that face the viewer first; seen edge on counts as facing
    planes = solid.planes[np.argsort(solid.planes[:, 2] < -1e-3, kind="stable")]
    num_front = int(np.count_nonzero(planes[:, 2] >= -1e-3))
    # z = (distance - nx x - ny y) / nz for each plane
    slopes = planes / np.where(np.abs(planes[:, 2:3]) < 1e-3, np.float32(1e-3), planes[:, 2:3])
    nx, ny, _, distance = slopes.T[:, :, None, None]
    z = (distance - ny * y) - nx * x
    ahead = z[:num_front]
    depth = ahead.min(axis=0)
    hit = depth > z[num_front:].max(axis=0)
    shade = _shade(planes[:num_front, :3] @ light).take(ahead.argmin(axis=0))
    if noise is not None:
        shade = shade * (1 + (0.35 * solid.paint.fur) * noise)
    return depth, shade, hit


def _inverse(m: list[list[float]]) -> tuple[float, float, float, float, float, float]:
    """The upper triangle of the inverse of a symmetric 3 x 3 matrix, row by row."""
    (a, b, c), (_, d, e), (_, _, f) = m
    first, second, third = d * f - e * e, c * e - b * f, b * e - c * d
    scale = 1 / (a * first + b * second + c * third)
    return (
        scale * first,
        scale * second,
        scale * third,
        scale * (a * f - c * c),
        scale * (b * c - a * e),
        scale * (a * d - b * b),
    )


def _shade(lit: Array) -> Array:
    """Light on a surface from the cosine of its angle; turned away it fades, not cuts off."""
    level = (AMBIENT + 0.25 * (1 - AMBIENT)) + (0.85 * (1 - AMBIENT)) * lit
    return np.minimum(np.maximum(level, AMBIENT), 1.0)


def _pattern(solid: Solid, x: Array, y: Array, z: Array) -> Array:
    """Share of the second colour at points of a solid, 0 or 1."""
    paint = solid.paint
    own = solid.frame * (2 * math.pi / paint.period)
    waves = [np.sin(own[0, i] * x + own[1, i] * y + own[2, i] * z) for i in range(3)]
    if paint.pattern == "stripes":
        wave = waves[0]
    elif paint.pattern == "checks":
        wave = waves[0] * waves[2]
    else:
        assert paint.pattern == "spots", paint.pattern
        wave = waves[0] + waves[1] + waves[2] - 0.9
    share: Array = (wave > 0).astype(np.float32)
    return share


@functools.lru_cache(maxsize=2)
def noise_tile(coarse: bool) -> Array:
    """Smooth noise of deviation 1, repeated once in both directions so that any window fits."""
    rng = np.random.default_rng(20 + coarse)
    noise = rng.standard_normal((NOISE_SIDE, NOISE_SIDE)).astype(np.float32)
    for _ in range(4 if coarse else 1):
        for axis in (0, 1):
            noise = noise + np.roll(noise, 1, axis) + np.roll(noise, -1, axis)
    noise = (noise - noise.mean()) / noise.std()
    tile: Array = np.tile(noise, (2, 2)).astype(np.float32)
    tile.flags.writeable = False  # shared by all who ask
    return tile


def _reduce(samples: Array) -> Array:
    """Mean over the samples of each pixel: (..., S, S) to (..., S / SAMPLES, S / SAMPLES)."""
    n = SAMPLES
    rows = samples[..., 0::n, :] + samples[..., 1::n, :] + samples[..., 2::n, :]
    mean: Array = (rows[..., 0::n] + rows[..., 1::n] + rows[..., 2::n]) * np.float32(1 / n**2)
    return mean
