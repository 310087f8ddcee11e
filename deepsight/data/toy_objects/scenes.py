"""Where a drawn object stands: backgrounds, light, clutter, and the picture taken of it all."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deepsight.data.toy_objects.render import (
    NOISE_SIDE,
    Canvas,
    Drawing,
    Place,
    draw_solid,
    noise_tile,
)
from deepsight.data.toy_objects.solids import (
    Array,
    Colour,
    Paint,
    Solid,
    ball,
    bounds,
    box,
    limb,
    place,
    prism,
    regular,
    rod,
    rotation,
)

Model = Callable[[np.random.Generator], list[Solid]]
"""Builds one object of a class, each time another one."""

LEAST_VISIBLE = 0.6
"""Share of the object that an occluder must leave visible; otherwise it is left out."""

AWKWARD = 0.15
"""Share of the objects that are smaller, tipped, and seen from less usual sides."""

LEAST_CONTRAST = 0.3
"""Difference between object and background that one of red, green and blue must reach, in 0..1."""


@dataclass(frozen=True)
class Picture:
    """One drawn image."""

    image: Array
    """(H, W, 3), 0..1."""
    mask: Array
    """(H, W): share of each pixel that shows the object."""


def paint(rng: np.random.Generator) -> Paint:
    """Any smooth surface: mostly bright; sometimes striped or checked."""
    colour = any_colour(rng)
    if rng.random() < 0.06:
        pattern = ("stripes", "checks")[int(rng.integers(2))]
        return Paint(colour, any_colour(rng), pattern, float(rng.uniform(0.25, 0.6)))
    return Paint(colour)


def coat(rng: np.random.Generator, fur: float = 0.5) -> Paint:
    """Fur of a natural colour; sometimes spotted or striped, sometimes dyed by the light."""
    base = any_colour(rng) if rng.random() < 0.04 else fur_colour(rng)
    fur *= float(rng.uniform(0.5, 1.2))
    chance = rng.random()
    if chance < 0.05:
        return Paint(base, fur_colour(rng), "spots", float(rng.uniform(0.5, 0.9)), fur)
    if chance < 0.1:
        return Paint(base, fur_colour(rng), "stripes", float(rng.uniform(0.25, 0.45)), fur)
    return Paint(base, fur=fur)


def any_colour(rng: np.random.Generator) -> Colour:
    """A colour of paint, one in ten a grey."""
    hue, chroma, value = rng.random(3).tolist()
    saturation = 0.15 * chroma if rng.random() < 0.1 else 0.3 + 0.5 * chroma
    return colorsys.hsv_to_rgb(hue, saturation, 0.3 + 0.65 * value)


def scene_colour(rng: np.random.Generator) -> Colour:
    """A colour of walls, ground and sky: paler than paint."""
    hue, chroma, value = rng.random(3).tolist()
    return colorsys.hsv_to_rgb(hue, 0.4 * chroma, 0.2 + 0.65 * value)


def fur_colour(rng: np.random.Generator) -> Colour:
    """Black to white by way of browns, reds and greys."""
    hue, chroma, value = rng.random(3).tolist()
    return colorsys.hsv_to_rgb(0.03 + 0.08 * hue, 0.65 * chroma, 0.12 + 0.85 * value)


def shift_colour(colour: Colour, factor: float) -> Colour:
    """The colour made darker (below 1) or lighter."""
    r, g, b = (min(max(c * factor, 0.0), 1.0) for c in colour)
    return r, g, b


def take_picture(model: Model, side: int, rng: np.random.Generator) -> Picture:
    """Build an object, pose it somewhere with other things about, and take a picture."""
    solids, where = pose(model(rng), side, rng)
    low, high = (b * np.float32(where.scale) + np.array(where.shift) for b in bounds(solids))
    light = _light(rng)
    canvas = Canvas.empty(side)
    for solid in solids:
        draw_solid(canvas, solid, where, light, rng)
    for _ in range(int(rng.integers(0, 3))):
        x, y = rng.uniform(0, side, size=2).tolist()
        draw_solid(canvas, thing(side, rng), Place(1.0, (x, y, low[2] - side)), light, rng)
    if rng.random() < 0.35:
        angle = float(rng.uniform(0, 6.2832))
        x, y, _ = (low + high) / 2 + 0.4 * (high - low) * (math.cos(angle), math.sin(angle), 0)
        occluded = canvas.copy()
        draw_solid(occluded, thing(side, rng), Place(1.0, (x, y, high[2] + side)), light, rng)
        visible = canvas.num_visible(len(solids))
        if occluded.num_visible(len(solids)) > LEAST_VISIBLE * visible:
            canvas = occluded
    drawing = canvas.resolve(len(solids))
    image = _contrasting(drawing, side, rng)
    image *= 1 - _shadow(low, high, light, side)[:, :, None]
    image = image * (1 - drawing.coverage[:, :, None]) + drawing.colours
    return Picture(_expose(image, rng), drawing.object_coverage)


def pose(solids: list[Solid], side: int, rng: np.random.Generator) -> tuple[list[Solid], Place]:
    """Turn an object towards some viewer, tip it a little, and find it a place in the image."""
    awkward = rng.random() < AWKWARD
    # from the side (0 looks to the right) to half in front (-pi / 2 looks at the viewer)
    elevation = float(rng.uniform(0.0, 0.7) if awkward else rng.uniform(0.15, 0.45))
    yaw = -float(rng.uniform(-0.8, 1.5) if awkward else rng.uniform(-0.15, 0.85))
    if rng.random() < 0.5:
        yaw = math.pi - yaw
    roll = float(rng.normal(0, 0.15 if awkward else 0.05))
    turn = camera(elevation, roll) @ rotation(yaw)
    solids = [place(s, turn) for s in solids]
    low, high = bounds(solids)
    width, height = (high - low)[:2].tolist()
    extent = float(rng.uniform(0.55, 0.9) if awkward else rng.uniform(0.78, 0.96)) * side
    # wide and tall objects fill the same area rather than the same width
    scale = min(extent / max(width, height), 0.8 * extent / math.sqrt(width * height))
    room = np.maximum(side - scale * (high - low)[:2], 0) / 2
    x, y = (rng.uniform(-0.9, 0.9, size=2) * room + side / 2).tolist()
    middle = (low + high) / 2 * scale
    shift = (x - middle[0], y - middle[1], -middle[2])
    return solids, Place(scale, shift)


def camera(elevation: float, roll: float) -> Array:
    """From object space to x right, y down, z towards a viewer who looks down by `elevation`."""
    ce, se, cr, sr = math.cos(elevation), math.sin(elevation), math.cos(roll), math.sin(roll)
    upright = np.array([[1, 0, 0], [0, -se, -ce], [0, -ce, se]], np.float32)
    return np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]], np.float32) @ upright


def _light(rng: np.random.Generator) -> Array:
    """Unit vector towards a light somewhere above and mostly in front."""
    x, y, z = rng.uniform(-0.9, 0.9), rng.uniform(-1.0, -0.35), rng.uniform(0.1, 0.9)
    light = np.array([x, y, z], np.float32)
    return light / np.float32(np.linalg.norm(light))


def thing(side: int, rng: np.random.Generator) -> Solid:
    """One piece of clutter, of the shapes that objects are made of, about the origin."""
    size = float(rng.uniform(0.12, 0.3)) * side
    long, wide = size * float(rng.uniform(0.8, 1.6)), size * float(rng.uniform(0.3, 0.8))
    turn = rotation(*rng.uniform(0, 6.2832, size=3).tolist())
    zero, tip = (0.0, 0.0, 0.0), (0.0, 0.0, long)
    kind = int(rng.integers(7))
    surface = coat(rng) if kind in (1, 3) else paint(rng)
    if surface.pattern:
        surface = Paint(surface.colour, surface.second, surface.pattern, size / 2, surface.fur)
    whole = (
        lambda: box(zero, (long, size, wide), surface),
        lambda: ball(zero, (size / 2, wide / 2, long / 2), surface),
        lambda: rod(zero, tip, wide / 4, surface),
        lambda: limb(zero, tip, wide / 4, surface),
        lambda: prism(zero, regular(10, size / 2), wide / 2, surface),
        lambda: prism(zero, regular(8, size / 2), long, surface, taper=0.05),
        lambda: box(zero, (long * 1.5, wide / 3, wide / 4), surface),
    )[kind]()
    return place(whole, turn)


def _contrasting(drawing: Drawing, side: int, rng: np.random.Generator) -> Array:
    """A background against which the object can be seen: the first of eight, else the last."""
    share = drawing.object_coverage.ravel()
    share = share / (share.sum() + 1e-6)
    mean = share @ drawing.colours.reshape(-1, 3)
    for _ in range(8):
        image = background(side, rng)
        if np.abs(share @ image.reshape(-1, 3) - mean).max() > LEAST_CONTRAST:
            break
    calm = image.mean(axis=(0, 1))
    grain = 1 + 0.035 * _noise(side, rng.random() < 0.5, rng)
    soft: Array = (calm + 0.5 * (image - calm)) * grain[:, :, None]  # as if out of focus
    return soft


def background(side: int, rng: np.random.Generator) -> Array:
    """A scene without the object: (side, side, 3), 0..1."""
    kind = int(rng.integers(4))
    y = (np.arange(side, dtype=np.float32)[:, None] + 0.5) / side
    x = (np.arange(side, dtype=np.float32)[None, :] + 0.5) / side
    if kind == 0:
        image = _outdoors(x, y, rng)
    elif kind == 1:
        image = _indoors(x, y, rng)
    elif kind == 2:
        image = _blend(scene_colour(rng), scene_colour(rng), np.broadcast_to(y, (side, side)))
    else:
        image = _blend(scene_colour(rng), scene_colour(rng), 0.5 + 0.2 * _noise(side, True, rng))
    return image


def _outdoors(x: Array, y: Array, rng: np.random.Generator) -> Array:
    """Sky over ground, with hills or houses along the horizon."""
    horizon = float(rng.uniform(0.2, 0.65))
    side = len(y)
    sky_colour = colorsys.hsv_to_rgb(
        float(rng.uniform(0.5, 0.68)), float(rng.uniform(0.05, 0.5)), float(rng.uniform(0.5, 1.0))
    )
    image = _blend(sky_colour, (0.85, 0.85, 0.82), np.broadcast_to(y / horizon, (side, side)))
    ground = _blend(scene_colour(rng), scene_colour(rng), 0.3 + 0.2 * _noise(side, True, rng))
    phase, waves = rng.uniform(0, 6.2832), rng.uniform(4, 14)
    skyline = np.sin(waves * x + phase)
    if rng.random() < 0.5:
        skyline = np.sign(skyline)
    ridge = horizon - float(rng.uniform(0.0, 0.18)) * (1 + skyline) / 2
    image = _over(image, scene_colour(rng), (y - ridge) * side)
    share = np.clip((y - horizon) * side + 0.5, 0, 1)[:, :, None]
    return image * (1 - share) + ground * share


def _indoors(x: Array, y: Array, rng: np.random.Generator) -> Array:
    """A wall, papered or panelled, a floor of boards or tiles, perhaps a window."""
    side = len(y)
    horizon = float(rng.uniform(0.35, 0.8))
    wall, floor = scene_colour(rng), scene_colour(rng)
    shape = (side, side)
    stripes = np.broadcast_to(np.sin(x * float(rng.uniform(15, 50))) > 0, shape)
    image = _blend(wall, shift_colour(wall, float(rng.uniform(0.75, 1.0))), stripes)
    if rng.random() < 0.5:
        left, top, width = rng.uniform(0, 0.7), rng.uniform(0, 0.3), rng.uniform(0.15, 0.4)
        rim = np.minimum(
            width / 2 - np.abs(x - left - width / 2), width / 2 - np.abs(y - top - width / 2)
        )
        image = _over(image, scene_colour(rng), rim * side)
        image = _over(image, scene_colour(rng), (rim - 0.05) * side)
    below = np.maximum(y - horizon, 0.01)
    boards = np.sin(float(rng.uniform(4, 12)) * (x - 0.5) / (below + 0.4)) > 0
    if rng.random() < 0.5:
        boards = boards ^ (np.sin(6 / (below + 0.2)) > 0)
    dark = shift_colour(floor, float(rng.uniform(0.6, 1.0)))
    tiled = _blend(floor, dark, np.broadcast_to(boards, shape))
    share = np.clip((y - horizon) * side + 0.5, 0, 1)[:, :, None]
    return image * (1 - share) + tiled * share


def _blend(first: Colour, second: Colour, share: Array) -> Array:
    """From the first colour to the second as `share` (H, W) goes from 0 to 1."""
    a, b = np.asarray(first, np.float32), np.asarray(second, np.float32)
    return a + (b - a) * np.clip(share, 0, 1).astype(np.float32)[:, :, None]


def _over(image: Array, colour: Colour, inside: Array) -> Array:
    """`colour` laid over the image where the signed distance `inside` (pixels) is positive."""
    share = np.clip(inside + 0.5, 0, 1)[:, :, None]
    return image * (1 - share) + np.asarray(colour, np.float32) * share


def _noise(side: int, coarse: bool, rng: np.random.Generator) -> Array:
    """A window of (side, side) out of the noise, deviation 1."""
    y, x = (rng.random(2) * NOISE_SIDE).astype(int).tolist()
    window: Array = noise_tile(coarse)[y : y + side, x : x + side]
    return window


def _shadow(low: Array, high: Array, light: Array, side: int) -> Array:
    """How much darker the ground is under and beside the object: (side, side), 0..1."""
    pixels = np.arange(side, dtype=np.float32) + 0.5
    width = float(high[0] - low[0]) * 0.55
    middle = float(low[0] + high[0]) / 2 - float(light[0]) * width * 0.4
    depth = 0.12 * float(high[1] - low[1]) + 1
    x, y = (pixels[None, :] - middle) / width, (pixels[:, None] - float(high[1]) + depth) / depth
    return 0.5 * np.clip(1.3 - x * x - y * y, 0, 1)


def _expose(image: Array, rng: np.random.Generator) -> Array:
    """The light's colour, an uneven light, exposure, contrast, and the camera's blur and noise."""
    side = len(image)
    cast = 1 + rng.normal(0, 0.1, size=3).astype(np.float32)
    ramp = np.linspace(-1, 1, side, dtype=np.float32)
    across, down = rng.normal(0, 0.15, size=2).tolist()
    image = image * (1 + across * ramp[None, :, None] + down * ramp[:, None, None])
    image = image * cast * float(np.exp(rng.normal(0, 0.18)))
    contrast = float(np.exp(rng.normal(0, 0.2)))
    mean = float(image.mean())
    image = mean + (image - mean) * contrast
    if rng.random() < 0.12:
        image = _blur(image)
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(image + float(rng.uniform(0.0, 0.025)) * noise, 0, 1)


def _blur(image: Array) -> Array:
    """Each pixel with a quarter of its neighbours on both sides, in both directions."""
    for axis in (0, 1):
        padded = np.concatenate([image.take([0], axis), image, image.take([-1], axis)], axis)
        n = image.shape[axis]
        first, mid, last = (padded.take(range(k, k + n), axis) for k in range(3))
        image = (first + 2 * mid + last) / 4
    return image
