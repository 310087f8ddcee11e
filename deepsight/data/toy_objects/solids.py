"""Solids that drawn objects are made of: balls (ellipsoids) and prisms, each with its paint.

Objects live in a space of their own: x forward, y to the left, z up, in any unit. `place` turns,
scales and moves a solid; `deepsight.data.toy_objects.render` draws it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""Floating-point, single precision."""
Point = Sequence[float] | Array
Colour = tuple[float, float, float]

EYE = np.eye(3, dtype=np.float32)
_CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)


@dataclass(frozen=True)
class Paint:
    """A surface. Colours are red, green, blue in 0..1.

    `pattern` (stripes, spots or checks, in `second`) repeats every `period` of the solid's own
    unit; `fur` roughens outline and surface (0: smooth, 1: shaggy), `wool` in coarser tufts.
    """

    colour: Colour
    second: Colour = (0.0, 0.0, 0.0)
    pattern: str = ""
    period: float = 0.3
    fur: float = 0.0
    wool: bool = False


class Solid(NamedTuple):
    """A convex body about `centre` (a tuple, since thousands are made a second).

    A ball has `axes` (3, 3): the columns are its half axes. A prism has `planes`: (P, 4), outward
    unit normals and distances from the centre, and `corners`: (V, 3) relative to the centre.
    """

    centre: Array
    paint: Paint
    axes: Array | None = None
    planes: Array | None = None
    corners: Array | None = None
    frame: Array = EYE
    """Turns the solid's own directions, in which patterns are laid, into its surroundings'."""


def rotation(about_z: float = 0.0, about_y: float = 0.0, about_x: float = 0.0) -> Array:
    """A rotation by angles in radians: first about x, then about y, then about z."""
    cz, sz = math.cos(about_z), math.sin(about_z)
    cy, sy = math.cos(about_y), math.sin(about_y)
    cx, sx = math.cos(about_x), math.sin(about_x)
    return np.array(
        [
            [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
            [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
            [-sy, cy * sx, cy * cx],
        ],
        dtype=np.float32,
    )


def ball(centre: Point, radii: Point, paint: Paint, turn: Array = EYE) -> Solid:
    """An ellipsoid with half axes `radii` along x, y and z, then turned."""
    axes = turn * np.asarray(radii, np.float32)
    return Solid(np.asarray(centre, np.float32), paint, axes=axes, frame=turn)


def limb(start: Point, end: Point, radius: float, paint: Paint) -> Solid:
    """A ball stretched from `start` to `end`: a leg, a tail, an ear."""
    a, b = np.asarray(start, np.float32), np.asarray(end, np.float32)
    turn = _towards(b - a)
    length = float(np.linalg.norm(b - a)) / 2
    return ball((a + b) / 2, (radius, radius, length + radius * 0.5), paint, turn)


def rod(start: Point, end: Point, radius: float, paint: Paint) -> Solid:
    """A straight square bar from `start` to `end`."""
    a, b = np.asarray(start, np.float32), np.asarray(end, np.float32)
    side, length = 1.84 * radius, float(np.linalg.norm(b - a))
    return box((a + b) / 2, (side, side, length), paint, _towards(b - a))


def box(centre: Point, sides: Point, paint: Paint, turn: Array = EYE, taper: float = 1.0) -> Solid:
    """A cuboid with the given side lengths; `taper` scales its top."""
    x, y, z = sides[0] / 2, sides[1] / 2, sides[2] / 2
    if taper != 1.0:
        return prism(centre, [(x, y), (-x, y), (-x, -y), (x, -y)], sides[2], paint, turn, taper)
    planes = [(1, 0, 0, x), (-1, 0, 0, x), (0, 1, 0, y), (0, -1, 0, y), (0, 0, 1, z), (0, 0, -1, z)]
    corners = _CORNERS * np.array((x, y, z), np.float32)
    return _turned(Solid(np.asarray(centre, np.float32), paint), turn, planes, corners)


def wheel(centre: Point, radius: float, width: float, paint: Paint, sides: int = 10) -> Solid:
    """A disc that rolls along x."""
    return prism(centre, regular(sides, radius), width, paint, ACROSS)


def slab(centre: Point, outline: Sequence[Point], width: float, paint: Paint) -> Solid:
    """A convex outline of (x, z) corners, anticlockwise, `width` thick along y: a roof, a cab."""
    return prism(centre, outline, width, paint, ACROSS)


def regular(sides: int, radius: float) -> list[tuple[float, float]]:
    """The corners of a regular polygon, anticlockwise, one side level."""
    start = math.pi / sides
    angles = [start + 2 * math.pi * i / sides for i in range(sides)]
    return [(radius * math.cos(a), radius * math.sin(a)) for a in angles]


def prism(
    centre: Point,
    outline: Sequence[Point],
    height: float,
    paint: Paint,
    turn: Array = EYE,
    taper: float = 1.0,
) -> Solid:
    """A convex outline in x and y, anticlockwise about the origin, pulled along z, then turned.

    `taper` scales the outline at the top: 0.02 makes a cone.
    """
    half = height / 2
    planes = [(0.0, 0.0, 1.0, half), (0.0, 0.0, -1.0, half)]
    for (x, y), (to_x, to_y) in zip(outline, [*outline[1:], outline[0]], strict=True):
        dx, dy = to_x - x, to_y - y
        # the way along the side times the way up it, ((taper - 1) x, (taper - 1) y, height)
        nx, ny, nz = height * dy, -height * dx, (taper - 1) * (dx * y - dy * x)
        scale = 1 / math.sqrt(nx * nx + ny * ny + nz * nz)
        reach = nx * (x + dx / 2) + ny * (y + dy / 2) - nz * half
        planes.append((nx * scale, ny * scale, nz * scale, reach * scale))
    corners = np.array(
        [(x, y, -half) for x, y in outline] + [(x * taper, y * taper, half) for x, y in outline],
        np.float32,
    )
    return _turned(Solid(np.asarray(centre, np.float32), paint), turn, planes, corners)


def _turned(solid: Solid, turn: Array, planes: Sequence[Point], corners: Array) -> Solid:
    """`solid` made of planes and corners that are turned about its centre."""
    faces = np.array(planes, np.float32)
    if turn is not EYE:
        faces[:, :3] = faces[:, :3] @ turn.T
        corners = corners @ turn.T
    return Solid(solid.centre, solid.paint, None, faces, corners, turn)


def place(solid: Solid, turn: Array, shift: Point = (0, 0, 0)) -> Solid:
    """The solid turned about the origin, then shifted."""
    centre = turn @ solid.centre + np.asarray(shift, np.float32)
    frame = turn @ solid.frame if solid.paint.pattern else solid.frame
    if solid.axes is not None:
        return Solid(centre, solid.paint, turn @ solid.axes, frame=frame)
    assert solid.planes is not None
    assert solid.corners is not None
    planes = np.empty_like(solid.planes)
    np.matmul(solid.planes[:, :3], turn.T, out=planes[:, :3])
    planes[:, 3] = solid.planes[:, 3]
    return Solid(centre, solid.paint, None, planes, solid.corners @ turn.T, frame)


def half_extent(solid: Solid) -> Array:
    """Half the side lengths of the box around a solid (for a prism, about its centre)."""
    if solid.axes is not None:
        return np.array([math.sqrt(x * x + y * y + z * z) for x, y, z in solid.axes.tolist()])
    assert solid.corners is not None
    half: Array = np.abs(solid.corners).max(axis=0)
    return half


def bounds(solids: Sequence[Solid]) -> tuple[Array, Array]:
    """The two opposite corners of the box around all `solids`."""
    centres = np.stack([s.centre for s in solids])
    halves = np.stack([half_extent(s) for s in solids])
    return (centres - halves).min(axis=0), (centres + halves).max(axis=0)


def _towards(direction: Array) -> Array:
    """A rotation that takes z to `direction`."""
    x, y, z = (float(v) for v in direction)
    return rotation(math.atan2(y, x), math.atan2(math.hypot(x, y), z))


ACROSS = rotation(about_x=math.pi / 2)
"""Takes z to -y: what stood up lies across."""

LYING = rotation(0, math.pi / 2)
"""Takes z to x: what stood up points forward."""
