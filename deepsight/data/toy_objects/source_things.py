"""Furniture, tools and toys that embedded weights are learnt from: see `source_classes`."""

from __future__ import annotations

import numpy as np

from deepsight.data.toy_objects.bodies import (
    DARK,
    HUB,
    four_legs,
    ring,
)
from deepsight.data.toy_objects.scenes import (
    Model,
    any_colour,
    fur_colour,
    paint,
    shift_colour,
)
from deepsight.data.toy_objects.solids import (
    ACROSS,
    Paint,
    Solid,
    ball,
    box,
    limb,
    prism,
    regular,
    rod,
    rotation,
    slab,
)


def bench(rng: np.random.Generator) -> list[Solid]:
    """A long seat with a low back of planks."""
    wood, iron = paint(rng), Paint(shift_colour(any_colour(rng), 0.5))
    length = rng.uniform(1.7, 2.3)
    solids = four_legs(0.4, length * 0.85, 0.5, 0.1, iron)
    for x in (-0.18, 0.02, 0.22):
        solids.append(box((x, 0, 0.52), (0.15, length, 0.08), wood))
    for z in (0.75, 0.95)[: int(rng.integers(1, 3))]:
        solids.append(box((-0.28, 0, z), (0.08, length, 0.14), wood))
    for y in (-0.4, 0.4):
        solids.append(rod((-0.25, y * length, 0.5), (-0.3, y * length, 1.0), 0.05, iron))
    return solids


def lamp(rng: np.random.Generator) -> list[Solid]:
    """A shade on a thin stand."""
    stand, shade = paint(rng), Paint(any_colour(rng))
    height = rng.uniform(0.7, 1.6)
    return [
        prism((0, 0, 0.04), regular(10, rng.uniform(0.22, 0.32)), 0.08, stand),
        rod((0, 0, 0), (rng.uniform(-0.1, 0.1), 0, height), 0.05, stand),
        prism(
            (0, 0, height + 0.15),
            regular(10, rng.uniform(0.35, 0.5)),
            rng.uniform(0.35, 0.55),
            shade,
            taper=rng.uniform(0.4, 0.8),
        ),
    ]


def robot(rng: np.random.Generator) -> list[Solid]:
    """A head, a trunk, arms and legs, all boxes."""
    metal, joint = paint(rng), paint(rng)
    wide = rng.uniform(0.5, 0.8)
    swing = rng.uniform(-0.5, 0.5, size=2).tolist()
    solids = [
        box((0, 0, 0.85), (0.4, wide, 0.6), metal),
        box((0, 0, 1.4), (0.36, 0.42, 0.36), joint),
        box((0.17, 0, 1.43), (0.06, 0.3, 0.1), Paint((0.95, 0.85, 0.3))),
        rod((0, 0, 1.5), (0, 0, 1.8), 0.03, DARK),
    ]
    for s, lift in zip((-1, 1), swing, strict=True):
        solids.append(
            box(
                (lift / 2, s * (wide / 2 + 0.1), 0.85), (0.16, 0.14, 0.6), joint, rotation(0, -lift)
            )
        )
        solids.append(box((0, s * 0.17, 0.28), (0.2, 0.18, 0.56), joint))
        solids.append(box((0.06, s * 0.17, 0.05), (0.36, 0.2, 0.1), DARK))
    return solids


def bottle(rng: np.random.Generator) -> list[Solid]:
    """A round body, a shoulder, a thin neck, a label."""
    glass, r = paint(rng), rng.uniform(0.22, 0.36)
    height, neck = rng.uniform(0.7, 1.1), rng.uniform(0.25, 0.5)
    top = height + 0.3
    return [
        prism((0, 0, height / 2), regular(10, r), height, glass),
        prism((0, 0, height + 0.15), regular(10, r), 0.3, glass, taper=0.35),
        prism((0, 0, top + neck / 2), regular(8, 0.36 * r), neck, glass),
        prism((0, 0, top + neck), regular(8, 0.42 * r), 0.1, paint(rng)),
        prism((0, 0, 0.5 * height), regular(10, r + 0.015), 0.4 * height, Paint(any_colour(rng))),
    ]


def cup(rng: np.random.Generator) -> list[Solid]:
    """A mug with a handle at its side, dark inside; some on a saucer."""
    china = paint(rng)
    r, height = rng.uniform(0.32, 0.45), rng.uniform(0.5, 0.9)
    solids = [
        prism((0, 0, height / 2), regular(12, r), height, china, taper=rng.uniform(0.95, 1.3)),
        prism((0, 0, height), regular(12, 0.85 * r), 0.02, DARK),
        *ring((r + 0.08, 0, 0.5 * height), 0.28 * height, 0.06, china),
    ]
    if rng.random() < 0.4:
        solids.append(prism((0, 0, 0.02), regular(12, 1.6 * r), 0.06, china, taper=1.2))
    return solids


def umbrella(rng: np.random.Generator) -> list[Solid]:
    """A wide cone of cloth on a thin stick with a crook."""
    cloth, stick = paint(rng), Paint(fur_colour(rng))
    height, wide = rng.uniform(0.9, 1.3), rng.uniform(0.65, 0.9)
    return [
        prism((0, 0, height), regular(8, wide), rng.uniform(0.3, 0.5), cloth, taper=0.06),
        rod((0, 0, 0), (0, 0, height + 0.3), 0.04, stick),
        rod((0, 0, 0), (0.12, 0, -0.08), 0.04, stick),
        rod((0.12, 0, -0.08), (0.22, 0, 0.06), 0.04, stick),
    ]


def guitar(rng: np.random.Generator) -> list[Solid]:
    """Two round bouts with a hole, a long neck, a head with pegs."""
    wood, neck = paint(rng), Paint(shift_colour(any_colour(rng), 0.6))
    lower, upper = rng.uniform(0.36, 0.46), rng.uniform(0.26, 0.34)
    length = rng.uniform(0.8, 1.1)
    solids = [
        prism((0, 0, 0), regular(12, lower), 0.16, wood, ACROSS),
        prism((0, 0, 0.45), regular(12, upper), 0.16, wood, ACROSS),
        prism((0, 0, 0.25), regular(10, 0.13), 0.19, DARK, ACROSS),
        box((0, 0, -0.12), (0.26, 0.2, 0.06), DARK),
        rod((0, -0.05, 0.35), (0, -0.05, 0.7 + length), 0.06, neck),
        box((0, -0.05, 0.75 + length), (0.16, 0.08, 0.26), wood),
    ]
    for z in (0.68, 0.8):
        solids.append(box((0, -0.05, z + length), (0.28, 0.04, 0.04), HUB))
    return solids


def hammer(rng: np.random.Generator) -> list[Solid]:
    """A handle under a heavy head with a flat and a pointed side."""
    handle, iron = Paint(any_colour(rng)), Paint(shift_colour(any_colour(rng), 0.6))
    length, thick = rng.uniform(1.0, 1.5), rng.uniform(0.06, 0.1)
    size = rng.uniform(0.2, 0.3)
    point = [(0, -size / 2), (0.45, -0.05), (0.45, 0.05), (0, size / 2)]
    return [
        rod((0, 0, 0), (0, 0, length), thick, handle),
        rod((0, 0, 0), (0, 0, 0.4 * length), 1.3 * thick, DARK),
        box((0.15, 0, length), (0.5, size, size), iron),
        box((0.4, 0, length), (0.12, 1.25 * size, 1.25 * size), iron),
        slab((-0.1, 0, length), [(-x, z) for x, z in reversed(point)], 0.8 * size, iron),
    ]


def ladder(rng: np.random.Generator) -> list[Solid]:
    """Two rails with rungs, leaning, or a pair of steps."""
    wood = paint(rng)
    height, half = rng.uniform(1.4, 2.0), rng.uniform(0.22, 0.32)
    lean, rungs = rng.uniform(0.15, 0.4), int(rng.integers(4, 8))
    solids = []
    for s in (-1, 1):
        top = (0.85 * s * half, lean, height)
        solids.append(rod((s * half, 0, 0), top, 0.06, wood))
        if lean > 0.28:
            solids.append(rod((s * half, 2 * lean, 0), top, 0.04, wood))
    for k in range(rungs):
        share = (k + 0.6) / rungs
        y, z = lean * share, height * share
        solids.append(rod((-half, y, z), (half, y, z), 0.045, wood))
    return solids


def bed(rng: np.random.Generator) -> list[Solid]:
    """A mattress under a blanket, a pillow, a board at either end."""
    wood, sheet, cover = paint(rng), Paint((0.92, 0.9, 0.86)), paint(rng)
    length, width = rng.uniform(1.6, 2.0), rng.uniform(0.8, 1.2)
    high = rng.uniform(0.5, 0.8)
    return [
        *four_legs(length * 0.95, width * 0.9, 0.3, 0.12, wood),
        box((0, 0, 0.3), (length, width, 0.12), wood),
        box((0, 0, 0.42), (0.97 * length, 0.97 * width, 0.2), sheet),
        box((0.12 * length, 0, 0.44), (0.72 * length, width, 0.22), cover),
        ball((-0.4 * length, 0, 0.56), (0.16, 0.36 * width, 0.1), sheet),
        box((-length / 2, 0, high / 2 + 0.15), (0.08, width, high + 0.3), wood),
        box((length / 2, 0, 0.35), (0.08, width, 0.5), wood),
    ]


def piano(rng: np.random.Generator) -> list[Solid]:
    """An upright case with a shelf of white keys, black ones among them."""
    case, white = paint(rng), Paint((0.95, 0.94, 0.9))
    width, height = rng.uniform(1.2, 1.5), rng.uniform(0.9, 1.2)
    solids = [
        box((-0.15, 0, height / 2), (0.4, width, height), case),
        box((-0.12, 0, height), (0.5, width + 0.06, 0.07), case),
        box((0.2, 0, 0.55), (0.4, width, 0.12), case),
        box((0.22, 0, 0.62), (0.34, 0.94 * width, 0.04), white),
        box((0.05, 0, 0.85), (0.03, 0.4 * width, 0.25), white),
    ]
    for k in range(8):
        y = ((k + 0.5) / 8 - 0.5) * 0.9 * width
        solids.append(box((0.14, y, 0.65), (0.2, 0.05, 0.05), DARK))
    for s in (-1, 1):
        solids.append(rod((0.35, 0.46 * s * width, 0), (0.35, 0.46 * s * width, 0.55), 0.06, case))
    return solids


def snowman(rng: np.random.Generator) -> list[Solid]:
    """Two or three balls, a hat, a carrot, arms of twigs."""
    snow, hat = Paint((0.93, 0.94, 0.97)), Paint(shift_colour(any_colour(rng), 0.6))
    radii = [rng.uniform(0.45, 0.55), rng.uniform(0.32, 0.4), rng.uniform(0.22, 0.28)]
    if rng.random() < 0.3:
        del radii[1]
    solids, z = [], 0.0
    for r in radii:
        z += 0.85 * r
        solids.append(ball((0, 0, z), (r, r, r), snow))
        z += 0.8 * r
    r, crown = radii[-1], z - 0.8 * radii[-1]
    solids += [
        prism((0, 0, crown + 0.85 * r), regular(10, 1.2 * r), 0.05, hat),
        prism((0, 0, crown + 1.4 * r), regular(10, 0.75 * r), 1.1 * r, hat),
        limb((0.8 * r, 0, crown), (2.0 * r, 0, crown - 0.05), 0.06, Paint((0.95, 0.5, 0.1))),
    ]
    for s in (-1, 1):
        solids.append(ball((0.85 * r, 0.35 * s * r, crown + 0.25 * r), (0.05, 0.05, 0.05), DARK))
        arm = (0.1, 0.95 * s, crown - 1.2 * r + rng.uniform(-0.1, 0.4))
        solids.append(rod((0, 0.3 * s, crown - 1.5 * r), arm, 0.035, Paint((0.3, 0.2, 0.12))))
    return solids


THINGS: tuple[Model, ...] = (
    bench,
    lamp,
    robot,
    bottle,
    cup,
    umbrella,
    guitar,
    hammer,
    ladder,
    bed,
    piano,
    snowman,
)
