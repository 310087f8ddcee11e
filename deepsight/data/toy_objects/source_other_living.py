"""Other animals, people and plants that embedded weights are learnt from: see `source_classes`."""

from __future__ import annotations

import itertools
import math

import numpy as np

from deepsight.data.toy_objects.bodies import DARK
from deepsight.data.toy_objects.scenes import (
    Model,
    any_colour,
    coat,
    fur_colour,
    paint,
    shift_colour,
)
from deepsight.data.toy_objects.solids import (
    Paint,
    Solid,
    ball,
    box,
    limb,
    prism,
    regular,
    rod,
    rotation,
)


def fish(rng: np.random.Generator) -> list[Solid]:
    """A flat oval, a forked tail, fins."""
    skin, fin = coat(rng, 0.05), paint(rng)
    high = rng.uniform(0.2, 0.42)
    solids = [
        ball((0, 0, 0), (0.6, 0.15, high), skin),
        ball((-0.05, 0, high), (0.28, 0.04, 0.16), fin),
        ball((-0.05, 0, -high), (0.18, 0.04, 0.12), fin),
    ]
    for s in (-1, 1):
        solids.append(limb((-0.5, 0, 0), (-0.85, 0, s * 0.28), 0.07, fin))
        solids.append(ball((0.42, s * 0.1, 0.06), (0.07, 0.05, 0.07), DARK))
        solids.append(ball((0.05, s * 0.18, -0.05), (0.18, 0.05, 0.09), fin))
    return solids


def spider(rng: np.random.Generator) -> list[Solid]:
    """Two round parts and eight bent legs."""
    fur = coat(rng, 0.4)
    solids = [
        ball((-0.3, 0, 0.3), (0.36, 0.3, 0.28), fur),
        ball((0.15, 0, 0.26), (0.22, 0.2, 0.18), fur),
    ]
    reach = rng.uniform(0.55, 0.8)
    for k in range(4):
        for s in (-1, 1):
            x = 0.45 * (k - 1.5)
            knee = (0.15 + x, s * 0.55 * reach, rng.uniform(0.45, 0.65))
            solids.append(limb((0.15, s * 0.1, 0.26), knee, 0.035, fur))
            solids.append(limb(knee, (0.15 + 1.5 * x, s * reach, 0), 0.03, fur))
    return solids


def mushroom(rng: np.random.Generator) -> list[Solid]:
    """A cap, often spotted, on a stalk; sometimes a second one."""
    cap = Paint(any_colour(rng), (0.95, 0.93, 0.88), "spots" if rng.random() < 0.6 else "", 0.35)
    stalk = Paint(fur_colour(rng))
    solids = []
    for x, size in ((0.0, 1.0), (0.45, rng.uniform(0.4, 0.7)))[: int(rng.integers(1, 3))]:
        height = size * rng.uniform(0.5, 0.9)
        solids.append(limb((x, 0, 0), (x, 0, height), 0.14 * size, stalk))
        solids.append(ball((x, 0, height), (0.5 * size, 0.5 * size, 0.28 * size), cap))
    return solids


def tree(rng: np.random.Generator) -> list[Solid]:
    """A trunk under a crown of leaves."""
    leaves = Paint(any_colour(rng), fur=rng.uniform(0.6, 1.1), wool=True)
    height = rng.uniform(0.5, 1.0)
    solids = [limb((0, 0, 0), (0, 0, height), rng.uniform(0.08, 0.13), Paint(fur_colour(rng)))]
    for _ in range(int(rng.integers(2, 5))):
        x, y, z = rng.normal(0, 0.2, size=3).tolist()
        r = rng.uniform(0.3, 0.5)
        solids.append(ball((x, y, height + 0.25 + z), (r, r, r * rng.uniform(0.7, 1.3)), leaves))
    return solids


def snake(rng: np.random.Generator) -> list[Solid]:
    """A thin body in bends, its head raised or not."""
    skin = Paint(any_colour(rng), any_colour(rng), str(rng.choice(["", "stripes", "spots"])), 0.25)
    r, bend = rng.uniform(0.08, 0.13), rng.uniform(0.2, 0.4)
    phase, waves = rng.uniform(0, 6.28), rng.uniform(2.5, 5.0)
    along = np.linspace(-1, 0.8, 12)
    body = [(x, bend * math.sin(waves * x + phase), r) for x in along.tolist()]
    if rng.random() < 0.6:
        x, y, _ = body[-1]
        body += [(x + 0.12, y, 0.3), (x + 0.15, y, rng.uniform(0.5, 0.75))]
    solids = [limb(a, b, r, skin) for a, b in itertools.pairwise(body)]
    x, y, z = body[-1]
    solids.append(ball((x + 0.12, y, z), (0.2, 0.14, 0.1), skin))
    solids.append(rod((x + 0.3, y, z), (x + 0.45, y, z - 0.03), 0.02, Paint((0.8, 0.1, 0.1))))
    for s in (-1, 1):
        solids.append(ball((x + 0.18, y + 0.09 * s, z + 0.06), (0.04, 0.04, 0.04), DARK))
    return solids


def crab(rng: np.random.Generator) -> list[Solid]:
    """A flat wide shell, bent legs at both sides, two claws in front."""
    shell = coat(rng, 0.05) if rng.random() < 0.5 else Paint(any_colour(rng))
    wide = rng.uniform(0.42, 0.55)
    solids = [ball((0, 0, 0.3), (0.34, wide, rng.uniform(0.15, 0.22)), shell)]
    for s in (-1, 1):
        for x in (-0.22, -0.05, 0.12):
            knee = (1.8 * x, s * (wide + 0.25), rng.uniform(0.35, 0.5))
            solids.append(limb((x, 0.8 * s * wide, 0.28), knee, 0.05, shell))
            solids.append(limb(knee, (2.2 * x, s * (wide + 0.4), 0.0), 0.035, shell))
        elbow = (0.4, s * (wide + 0.12), 0.35)
        solids.append(limb((0.2, 0.8 * s * wide, 0.3), elbow, 0.06, shell))
        solids.append(ball((0.6, s * (wide - 0.02), 0.42), (0.24, 0.12, 0.15), shell))
        solids.append(limb((0.65, s * (wide - 0.15), 0.4), (0.9, s * 0.2, 0.42), 0.05, shell))
        solids.append(rod((0.25, 0.12 * s, 0.4), (0.3, 0.13 * s, 0.58), 0.03, shell))
        solids.append(ball((0.3, 0.13 * s, 0.6), (0.05, 0.05, 0.05), DARK))
    return solids


def butterfly(rng: np.random.Generator) -> list[Solid]:
    """Four wide thin wings on a small body, feelers."""
    wing, spot = paint(rng), Paint(any_colour(rng))
    fold, long = rng.uniform(0.2, 1.1), rng.uniform(0.4, 0.55)
    solids = [limb((-0.35, 0, 0.3), (0.35, 0, 0.4), 0.08, DARK)]
    for s in (-1, 1):
        turn = rotation(0, 0, fold * s)
        y, z = s * math.cos(fold), math.sin(fold)
        for x, size in ((0.25, 1.0), (-0.3, 0.75)):
            middle = (x, 0.9 * y * long * size, 0.38 + 0.9 * z * long * size)
            solids.append(ball(middle, (0.32 * size, long * size, 0.025), wing, turn))
            solids.append(ball(middle, (0.13 * size, 0.4 * long * size, 0.035), spot, turn))
        solids.append(rod((0.35, 0, 0.42), (0.65, 0.18 * s, 0.6), 0.015, DARK))
    return solids


def octopus(rng: np.random.Generator) -> list[Solid]:
    """A large head over eight bent arms."""
    skin = Paint(any_colour(rng), any_colour(rng), "spots" if rng.random() < 0.4 else "", 0.25)
    tall = rng.uniform(0.38, 0.55)
    solids = [ball((-0.05, 0, 0.4 + tall), (0.36, 0.34, tall), skin)]
    for k in range(8):
        angle = 0.785 * k + rng.normal(0, 0.15)
        x, y = math.cos(angle), math.sin(angle)
        knee = (0.5 * x, 0.5 * y, rng.uniform(0.2, 0.45))
        reach = rng.uniform(0.75, 1.0)
        solids.append(limb((0.15 * x, 0.15 * y, 0.5), knee, 0.09, skin))
        solids.append(limb(knee, (reach * x, reach * y, rng.uniform(0, 0.25)), 0.06, skin))
    for s in (-1, 1):
        solids.append(ball((0.24, 0.17 * s, 0.6), (0.1, 0.09, 0.1), Paint((0.95, 0.95, 0.9))))
        solids.append(ball((0.31, 0.18 * s, 0.6), (0.05, 0.05, 0.06), DARK))
    return solids


def snail(rng: np.random.Generator) -> list[Solid]:
    """A coiled shell on a flat foot, feelers."""
    skin, shell = coat(rng, 0.05), paint(rng)
    r = rng.uniform(0.34, 0.46)
    solids = [
        limb((-0.6, 0, 0.08), (0.55, 0, 0.1), 0.13, skin),
        limb((0.5, 0, 0.1), (0.7, 0, 0.4), 0.11, skin),
    ]
    for k, share in enumerate((1.0, 0.72, 0.45, 0.2)):
        colour = shift_colour(shell.colour, 1.0 if k % 2 == 0 else 0.6)
        radii = (share * r, 0.24 + 0.03 * k, share * r)
        solids.append(ball((-0.1 - 0.05 * k, 0, r + 0.08), radii, Paint(colour)))
    for s in (-1, 1):
        top = (0.8, 0.12 * s, rng.uniform(0.65, 0.8))
        solids.append(rod((0.72, 0.05 * s, 0.45), top, 0.025, skin))
        solids.append(ball(top, (0.04, 0.04, 0.04), DARK))
    return solids


def whale(rng: np.random.Generator) -> list[Solid]:
    """A huge blunt head that tapers to a level fluke, sometimes with a spout."""
    skin, belly = coat(rng, 0.05), Paint((0.85, 0.87, 0.88))
    high = rng.uniform(0.3, 0.42)
    rise = rng.uniform(0.0, 0.4)
    solids = [
        ball((0.2, 0, 0), (0.7, 0.36, high), skin),
        ball((0.25, 0, -0.12 * high), (0.62, 0.33, 0.92 * high), belly),
        limb((-0.3, 0, 0), (-0.95, 0, rise), 0.16, skin),
    ]
    for s in (-1, 1):
        solids.append(limb((-0.9, 0, rise), (-1.2, 0.36 * s, rise + 0.1), 0.08, skin))
        solids.append(limb((0.3, 0.3 * s, -0.15), (0.05, 0.6 * s, -0.35), 0.08, skin))
        solids.append(ball((0.65, 0.27 * s, 0.02), (0.05, 0.04, 0.05), DARK))
    if rng.random() < 0.4:
        water = Paint((0.7, 0.85, 0.95))
        for s in (-1, 1):
            solids.append(limb((0.4, 0, high), (0.4 + 0.2 * s, 0, high + 0.45), 0.05, water))
    return solids


def person(rng: np.random.Generator) -> list[Solid]:
    """A head, a clothed trunk, arms and legs, each posed."""
    skin, hair = Paint(fur_colour(rng)), Paint(shift_colour(fur_colour(rng), 0.6))
    shirt, legwear = paint(rng), paint(rng)
    wide = rng.uniform(0.17, 0.26)
    solids = [
        limb((0, 0, 0.75), (0, 0, 1.2), wide, shirt),
        ball((0, 0, 1.58), (0.15, 0.14, 0.18), skin),
        ball((-0.04, 0, 1.65), (0.16, 0.16, rng.uniform(0.12, 0.18)), hair),
    ]
    for s in (-1, 1):
        step, swing = rng.normal(0, 0.18), rng.normal(0, 0.35)
        knee = (0.6 * max(step, -0.1) + 0.06, 0.12 * s, 0.42)
        solids.append(limb((0, 0.11 * s, 0.75), knee, 0.1, legwear))
        solids.append(limb(knee, (step, 0.12 * s, 0.05), 0.08, legwear))
        solids.append(box((step + 0.06, 0.12 * s, 0.03), (0.26, 0.12, 0.08), DARK))
        lift = rng.uniform(-0.35, 0.5) if rng.random() < 0.3 else -0.3
        elbow = (0.4 * swing, s * (wide + 0.14), 1.22 + 0.8 * lift)
        solids.append(limb((0, s * wide, 1.26), elbow, 0.07, shirt))
        hand = (swing + 0.1, s * (wide + 0.12), 1.22 + 1.6 * lift + 0.1)
        solids.append(limb(elbow, hand, 0.055, skin))
    return solids


def flower(rng: np.random.Generator) -> list[Solid]:
    """Petals around a heart, on a stem with leaves, some in a pot."""
    petal, heart = Paint(any_colour(rng)), Paint(any_colour(rng))
    green = Paint((rng.uniform(0.1, 0.4), rng.uniform(0.4, 0.7), 0.15))
    height, count = rng.uniform(0.8, 1.3), int(rng.integers(5, 9))
    size, nod = rng.uniform(0.2, 0.34), rng.uniform(0.0, 0.5)
    solids = [
        rod((0, 0, 0), (0, 0, height), 0.04, green),
        ball((0.05, 0, height), (0.1, 0.16, 0.16), heart),
    ]
    for k in range(count):
        angle = 2 * math.pi * k / count
        y, z = math.cos(angle), math.sin(angle)
        tip = (nod * 0.4 * z, 1.4 * size * y, height + 1.4 * size * z)
        solids.append(limb((0, 0.5 * size * y, height + 0.5 * size * z), tip, 0.11, petal))
    for s in (-1, 1):
        at = rng.uniform(0.2, 0.5) * height
        solids.append(limb((0, 0, at), (0.05, 0.35 * s, at + 0.2), 0.08, green))
    if rng.random() < 0.4:
        solids.append(prism((0, 0, 0), regular(10, 0.22), 0.35, paint(rng), taper=1.3))
    return solids


def cactus(rng: np.random.Generator) -> list[Solid]:
    """A thick green column with bent arms."""
    green = Paint((0.15, rng.uniform(0.35, 0.65), 0.25), fur=rng.uniform(0.2, 0.5))
    height, r = rng.uniform(1.0, 1.5), rng.uniform(0.15, 0.22)
    solids = [limb((0, 0, 0), (0, 0, height), r, green)]
    for s in (-1, 1)[: int(rng.integers(1, 3))]:
        at, out = rng.uniform(0.35, 0.6) * height, rng.uniform(0.35, 0.5)
        elbow = (s * out, 0, at + 0.05)
        solids.append(limb((0, 0, at), elbow, 0.7 * r, green))
        solids.append(limb(elbow, (s * out, 0, at + rng.uniform(0.35, 0.6)), 0.65 * r, green))
    if rng.random() < 0.4:
        solids.append(ball((0, 0, height + r), (0.1, 0.1, 0.08), Paint(any_colour(rng))))
    return solids


OTHER_LIVING: tuple[Model, ...] = (
    fish,
    spider,
    mushroom,
    tree,
    snake,
    crab,
    butterfly,
    octopus,
    snail,
    whale,
    person,
    flower,
    cactus,
)
