"""Parts that several drawn classes share: four-legged bodies, heads, legs, wheels, windows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from deepsight.data.toy_objects.solids import (
    Paint,
    Point,
    Solid,
    ball,
    box,
    limb,
    place,
    prism,
    regular,
    rod,
    rotation,
    wheel,
)

DARK = Paint((0.08, 0.07, 0.08))
TYRE = Paint((0.1, 0.1, 0.11))
HUB = Paint((0.6, 0.6, 0.62))
GLASS = Paint((0.16, 0.22, 0.3))


@dataclass(frozen=True)
class Animal:
    """Proportions of a four-legged animal, whose trunk is about 1 long."""

    coat: Paint
    girth: float = 0.24
    """Half the height of the trunk."""
    legs: float = 0.35
    """Clearance below the trunk."""
    leg_width: float = 0.07
    neck: float = 0.2
    neck_angle: float = 0.9
    """Above the horizontal, in radians."""
    head: float = 0.2
    muzzle: float = 0.15
    muzzle_width: float = 0.5
    """Share of the head's."""
    ears: str = "pointed"
    """pointed, floppy, long, round or wide."""
    ear_size: float = 0.5
    """Share of the head's radius."""
    tail: float = 0.4
    tail_width: float = 0.05
    tail_angle: float = 0.6
    """Above the horizontal, in radians."""
    face: Paint | None = None
    """Of head and legs where they differ from the coat."""


def animal(shape: Animal, rng: np.random.Generator, poses: tuple[str, ...]) -> list[Solid]:
    """A four-legged animal in one of `poses` (stand, sit, lie)."""
    pose = poses[int(rng.integers(len(poses)))]
    face = shape.face or shape.coat
    if pose == "sit":
        trunk, shoulder, rump = _sitting(shape, face, rng)
    else:
        trunk, shoulder, rump = _standing(shape, face, 0.12 if pose == "lie" else 1.0, rng)
    angle = shape.neck_angle + float(rng.normal(0, 0.25))
    reach = shape.neck + 0.3 * shape.head
    crown = (shoulder[0] + reach * math.cos(angle), 0.0, shoulder[2] + reach * math.sin(angle))
    if shape.neck > 0.12:
        trunk.append(limb(shoulder, crown, max(0.45 * shape.girth, 0.09), shape.coat))
    turn = rotation(float(rng.normal(0, 0.55)), float(rng.normal(0.1, 0.25)))
    return [*trunk, *(place(s, turn, crown) for s in head(shape, face)), *_tail(shape, rump, rng)]


def head(shape: Animal, face: Paint) -> list[Solid]:
    """A head about the origin that looks along x."""
    r = shape.head
    solids = [ball((0, 0, 0), (1.05 * r, 0.92 * r, r), face)]
    if shape.muzzle > 0:
        width = shape.muzzle_width * r
        tip = 0.8 * r + shape.muzzle
        solids.append(limb((0.5 * r, 0, -0.28 * r), (tip, 0, -0.32 * r), width, face))
        solids.append(ball((tip + width * 0.5, 0, -0.2 * r), (0.2 * r, 0.26 * r, 0.2 * r), DARK))
    for s in (-1, 1):
        solids.append(ball((0.82 * r, s * 0.45 * r, 0.25 * r), (0.2 * r, 0.2 * r, 0.24 * r), DARK))
        solids.append(_ear(shape, s, face))
    return solids


def _ear(shape: Animal, s: int, face: Paint) -> Solid:
    """One ear of a head of radius `shape.head`; s is 1 for the left one, -1 for the right."""
    r, size = shape.head, shape.head * shape.ear_size
    if shape.ears == "pointed":
        turn = rotation(0, 0.1, -0.35 * s)
        return prism(
            (-0.05 * r, s * 0.6 * r, 0.75 * r + 0.45 * size),
            regular(4, 0.65 * size),
            1.7 * size,
            face,
            turn,
            taper=0.08,
        )
    if shape.ears == "floppy":
        middle = (-0.1 * r, s * 0.95 * r, 0.15 * r - 0.4 * size)
        radii = (0.5 * size, 0.25 * size, 1.1 * size)
        return ball(middle, radii, face, rotation(0, 0, 0.2 * s))
    if shape.ears == "long":
        top = (-0.5 * r, s * 0.6 * r, 0.7 * r + 2.2 * size)
        return limb((-0.1 * r, s * 0.4 * r, 0.7 * r), top, 0.45 * size, face)
    if shape.ears == "wide":
        return ball(
            (-0.3 * r, s * (0.9 * r + 0.6 * size), 0.1 * r), (0.2 * size, size, 1.1 * size), face
        )
    assert shape.ears == "round", shape.ears
    return ball((-0.1 * r, s * 0.7 * r, 0.85 * r), (0.4 * size, size, size), face)


def _standing(
    shape: Animal, face: Paint, upright: float, rng: np.random.Generator
) -> tuple[list[Solid], Point, Point]:
    """Trunk and legs, where the neck begins and where the tail does."""
    g, legs = shape.girth, shape.legs * upright
    middle = legs + g
    solids = [ball((0, 0, middle), (0.55, 0.85 * g, g), shape.coat)]
    for x in (-0.36, 0.36):
        for y in (-0.5 * g, 0.5 * g):
            stride = float(rng.normal(0, 0.09)) if upright == 1.0 else 0.2
            foot = (x + stride, y * 1.1, 0.0)
            solids.append(limb((x, y, middle), foot, shape.leg_width, face))
    return solids, (0.4, 0.0, middle + 0.45 * g), (-0.5, 0.0, middle + 0.3 * g)


def _sitting(
    shape: Animal, face: Paint, rng: np.random.Generator
) -> tuple[list[Solid], Point, Point]:
    """The same of an animal that sits on its haunches."""
    g = shape.girth
    shoulder = (0.12, 0.0, 0.55 + 0.5 * shape.legs)
    solids = [limb((-0.18, 0, 0.9 * g), shoulder, 0.85 * g, shape.coat)]
    for s in (-1, 1):
        y = 0.5 * s * g
        solids.append(ball((-0.1, 1.6 * y, 0.7 * g), (0.24, 0.09, 0.8 * g), shape.coat))
        solids.append(limb((-0.05, 1.7 * y, 0.04), (0.22, 1.7 * y, 0.04), shape.leg_width, face))
        foot = (0.28 + float(rng.normal(0, 0.03)), y, 0.0)
        solids.append(limb((0.16, y, shoulder[2] - 0.05), foot, shape.leg_width, face))
    return solids, (0.14, 0.0, shoulder[2] + 0.1), (-0.36, 0.0, 0.3 * g)


def _tail(shape: Animal, rump: Point, rng: np.random.Generator) -> list[Solid]:
    """A tail in two joints."""
    if shape.tail <= 0:
        return []
    angle = shape.tail_angle + float(rng.normal(0, 0.3))
    sway = float(rng.normal(0, 0.3))
    solids, start = [], rump
    for bend in (0.0, float(rng.normal(0.5, 0.4))):
        step = 0.5 * shape.tail
        end = (
            start[0] - step * math.cos(angle + bend) * math.cos(sway),
            start[1] + step * math.cos(angle + bend) * math.sin(sway),
            max(start[2] + step * math.sin(angle + bend), 0.03),
        )
        solids.append(limb(start, end, shape.tail_width, shape.coat))
        start = end
    return solids


def four_legs(
    length: float, width: float, height: float, thick: float, paint: Paint, splay: float = 0.0
) -> list[Solid]:
    """Straight legs of furniture, up to `height`."""
    return [
        rod(
            (x * length / 2, y * width / 2, height),
            (x * (length / 2 + splay), y * (width / 2 + splay), 0.0),
            thick / 2,
            paint,
        )
        for x in (-1, 1)
        for y in (-1, 1)
    ]


def wheels(places: list[float], track: float, radius: float, thick: float = 0.16) -> list[Solid]:
    """A pair of wheels with hubs at each place along x."""
    solids = []
    for x in places:
        for s in (-1, 1):
            solids.append(wheel((x, s * track / 2, radius), radius, thick, TYRE))
            solids.append(wheel((x, s * (track + 0.03) / 2, radius), 0.5 * radius, thick, HUB, 6))
    return solids


def ring(centre: Point, radius: float, thick: float, paint: Paint) -> list[Solid]:
    """A hoop in the plane of x and z, of twelve rods: a tyre, a handle."""
    corners = regular(12, radius)
    return [
        rod(
            (centre[0] + x, centre[1], centre[2] + z),
            (centre[0] + to_x, centre[1], centre[2] + to_z),
            thick,
            paint,
        )
        for (x, z), (to_x, to_z) in zip(corners, [*corners[1:], corners[0]], strict=True)
    ]


def panes(
    width: float, depth: float, heights: list[float], size: float, count: int, paint: Paint
) -> list[Solid]:
    """Rows of windows around a building: boxes that show a little on opposite walls."""
    solids = []
    for z in heights:
        for i in range(count):
            along = ((i + 0.5) / count - 0.5) * 0.92
            solids.append(box((along * width, 0, z), (size, depth + 0.03, size * 1.2), paint))
            solids.append(box((0, along * depth, z), (width + 0.03, size, size * 1.2), paint))
    return solids
