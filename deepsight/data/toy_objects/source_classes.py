"""Other classes, none of them in `toy_objects`, that embedded weights are learnt from.

They are made of the same solids in the same scenes, so that what a network learns from them
(edges, wheels, legs, fur, shading) serves the ten classes too, and no class is seen beforehand.
"""

from __future__ import annotations

import math

import numpy as np

from deepsight.data.toy_objects.bodies import DARK, GLASS, Animal, animal, four_legs, panes, wheels
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
    slab,
    wheel,
)

LYING = rotation(0, math.pi / 2)
"""Takes z to x: what stood up points forward."""


def aeroplane(rng: np.random.Generator) -> list[Solid]:
    """A round hull, two wings, a fin."""
    hull, wing = paint(rng), paint(rng)
    r, span = rng.uniform(0.14, 0.22), rng.uniform(0.9, 1.3)
    solids = [
        prism((0, 0, 0), regular(8, r), 1.5, hull, LYING),
        prism((0.9, 0, 0), regular(8, r), 0.35, hull, LYING, taper=0.3),
        box((0.05, 0, rng.uniform(-0.1, 0.15)), (0.4, 2 * span, 0.06), wing),
        box((-0.65, 0, 0.05), (0.25, 0.45 * span, 0.05), wing),
        slab((-0.65, 0, r), [(-0.15, 0), (0.2, 0), (-0.05, 0.4), (-0.15, 0.4)], 0.06, wing),
        box((0.62, 0, 0.6 * r), (0.2, 1.3 * r, 0.6 * r), GLASS),
    ]
    for s in (-1, 1):
        solids.append(prism((0.15, s * 0.5 * span, -0.08), regular(6, 0.09), 0.35, DARK, LYING))
    return solids


def boat(rng: np.random.Generator) -> list[Solid]:
    """A hull that widens upwards, with a sail or a deck house."""
    hull = paint(rng)
    length = rng.uniform(1.4, 2.0)
    outline = [
        (-0.4 * length, -0.2),
        (0.3 * length, -0.2),
        (0.55 * length, 0.2),
        (-0.5 * length, 0.2),
    ]
    solids = [slab((0, 0, 0), outline, rng.uniform(0.4, 0.6), hull)]
    if rng.random() < 0.5:
        height = rng.uniform(1.0, 1.5)
        solids.append(rod((0.1, 0, 0.2), (0.1, 0, height + 0.3), 0.04, paint(rng)))
        solids.append(
            slab((0.1, 0, 0.35), [(-0.75, 0), (-0.04, 0), (-0.04, height - 0.1)], 0.04, paint(rng))
        )
        solids.append(
            slab((0.1, 0, 0.35), [(0.04, 0), (0.6, 0), (0.04, 0.8 * height)], 0.04, paint(rng))
        )
    else:
        cabin = paint(rng)
        solids.append(box((-0.15, 0, 0.4), (0.7 * length / 1.5, 0.35, 0.4), cabin))
        solids.append(box((-0.15, 0, 0.45), (0.5 * length / 1.5, 0.38, 0.15), GLASS))
        solids.append(prism((-0.2, 0, 0.8), regular(8, 0.12), 0.5, paint(rng)))
    return solids


def tower(rng: np.random.Generator) -> list[Solid]:
    """Tall and thin, square or round, with rows of windows and a pointed or flat top."""
    walls = paint(rng)
    width, height = rng.uniform(0.5, 0.75), rng.uniform(1.5, 2.3)
    sides = int(rng.choice([4, 8, 10]))
    solids = [
        prism(
            (0, 0, height / 2),
            regular(sides, width * 0.6),
            height,
            walls,
            taper=rng.uniform(0.7, 1.0),
        )
    ]
    if rng.random() < 0.6:
        solids.append(
            prism((0, 0, height + 0.25), regular(sides, width * 0.7), 0.5, paint(rng), taper=0.05)
        )
    else:
        solids.append(box((0, 0, height), (width, width, 0.2), walls))
    heights = [height * share for share in (0.25, 0.5, 0.75)]
    return solids + panes(width * 0.8, width * 0.8, heights, 0.14, 1, GLASS)


def windmill(rng: np.random.Generator) -> list[Solid]:
    """A tapering mill with four sails in front."""
    height = rng.uniform(1.1, 1.5)
    solids = [
        prism((0, 0, height / 2), regular(8, 0.45), height, paint(rng), taper=0.55),
        prism((0, 0, height + 0.15), regular(8, 0.32), 0.35, paint(rng), taper=0.2),
    ]
    sail, start = paint(rng), rng.uniform(0, 1.57)
    for k in range(4):
        angle = start + k * math.pi / 2
        turn = rotation(0, 0, angle)
        middle = (0.42, -0.4 * math.sin(angle), height + 0.4 * math.cos(angle))
        solids.append(box(middle, (0.05, 0.2, 0.75), sail, turn))
    return solids


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


def tractor(rng: np.random.Generator) -> list[Solid]:
    """Two large wheels behind, two small ones in front, a bonnet and a cab."""
    body, rim = paint(rng), paint(rng)
    solids = [
        box((0.35, 0, 0.55), (0.9, 0.4, 0.4), body),
        box((-0.35, 0, 0.55), (0.6, 0.5, 0.35), body),
        rod((0.45, 0, 0.7), (0.45, 0, 1.15), 0.05, DARK),
        *wheels([0.6], 0.6, 0.24),
    ]
    large = rng.uniform(0.4, 0.5)
    for s in (-1, 1):
        solids.append(wheel((-0.4, s * 0.4, large), large, 0.22, DARK, 12))
        solids.append(wheel((-0.4, s * 0.42, large), 0.5 * large, 0.22, rim, 8))
    if rng.random() < 0.7:
        solids.append(box((-0.35, 0, 0.98), (0.5, 0.55, 0.5), GLASS))
        solids.append(box((-0.35, 0, 1.25), (0.6, 0.65, 0.08), body))
    return solids


def tent(rng: np.random.Generator) -> list[Solid]:
    """A ridge or a cone of cloth with a dark way in."""
    cloth = paint(rng)
    height = rng.uniform(0.7, 1.1)
    if rng.random() < 0.5:
        half = rng.uniform(0.5, 0.8)
        turn = rotation(math.pi / 2, 0, math.pi / 2)
        length = rng.uniform(1.2, 1.7)
        way_in = [(-0.35 * half, 0), (0.35 * half, 0), (0, 0.7 * height)]
        return [
            prism((0, 0, 0), [(-half, 0), (half, 0), (0, height)], length, cloth, turn),
            prism((0.01, 0, 0), way_in, length + 0.02, DARK, turn),
        ]
    return [
        prism((0, 0, height / 2), regular(6, 0.75), height, cloth, taper=0.03),
        box((0.4, 0, 0.2), (0.42, 0.3, 0.4), DARK, taper=0.3),
        rod((0, 0, 0.9 * height), (0, 0, 1.2 * height), 0.03, DARK),
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


def rocket(rng: np.random.Generator) -> list[Solid]:
    """A standing tube with a pointed tip and fins."""
    hull, fin = paint(rng), paint(rng)
    r, height = rng.uniform(0.2, 0.3), rng.uniform(1.0, 1.6)
    solids = [
        prism((0, 0, 0.2 + height / 2), regular(10, r), height, hull),
        prism((0, 0, 0.45 + height), regular(10, r), 0.5, fin, taper=0.05),
        box((0, 0, 0.25 + 0.75 * height), (2 * r + 0.03, 0.18, 0.18), GLASS),
        box((0, 0, 0.25 + 0.75 * height), (0.18, 2 * r + 0.03, 0.18), GLASS),
    ]
    for angle in (0.0, math.pi / 2):
        turn = rotation(angle)
        solids.append(box((0, 0, 0.25), (4.2 * r, 0.06, 0.5), fin, turn, taper=0.5))
    return solids


def bear(rng: np.random.Generator) -> list[Solid]:
    """Heavy, with round ears and no tail to speak of."""
    shape = Animal(
        coat(rng),
        girth=rng.uniform(0.3, 0.38),
        legs=rng.uniform(0.15, 0.28),
        leg_width=0.12,
        neck=0.12,
        head=rng.uniform(0.22, 0.28),
        muzzle=rng.uniform(0.08, 0.14),
        muzzle_width=0.5,
        ears="round",
        ear_size=0.4,
        tail=0.0,
    )
    return animal(shape, rng, ("stand", "sit"))


def horse(rng: np.random.Generator) -> list[Solid]:
    """Long legs, a long neck and a long face, a mane."""
    hair = coat(rng, 0.15)
    shape = Animal(
        hair,
        girth=rng.uniform(0.2, 0.26),
        legs=rng.uniform(0.5, 0.7),
        leg_width=0.06,
        neck=rng.uniform(0.35, 0.5),
        neck_angle=0.9,
        head=0.14,
        muzzle=rng.uniform(0.22, 0.32),
        muzzle_width=0.6,
        ears="pointed",
        ear_size=0.6,
        tail=0.55,
        tail_width=0.07,
        tail_angle=-1.0,
    )
    z = shape.legs + 1.6 * shape.girth
    return [
        *animal(shape, rng, ("stand",)),
        limb((0.3, 0, z), (0.55, 0, z + 0.4), 0.07, Paint(fur_colour(rng))),
    ]


def pig(rng: np.random.Generator) -> list[Solid]:
    """Round and smooth on short legs, with a blunt snout."""
    shape = Animal(
        coat(rng, 0.08),
        girth=rng.uniform(0.28, 0.35),
        legs=rng.uniform(0.1, 0.2),
        leg_width=0.08,
        neck=0.1,
        neck_angle=0.3,
        head=rng.uniform(0.2, 0.25),
        muzzle=0.1,
        muzzle_width=0.42,
        ears="pointed",
        ear_size=0.45,
        tail=0.2,
        tail_width=0.03,
        tail_angle=1.0,
    )
    return animal(shape, rng, ("stand", "stand", "lie"))


def elephant(rng: np.random.Generator) -> list[Solid]:
    """Large ears, a trunk, legs like pillars."""
    skin = coat(rng, 0.1)
    shape = Animal(
        skin,
        girth=rng.uniform(0.33, 0.4),
        legs=rng.uniform(0.25, 0.4),
        leg_width=0.12,
        neck=0.14,
        neck_angle=0.6,
        head=rng.uniform(0.24, 0.3),
        muzzle=0.0,
        ears="wide",
        ear_size=0.8,
        tail=0.35,
        tail_width=0.03,
        tail_angle=-1.1,
    )
    solids = animal(shape, rng, ("stand",))
    z = shape.legs + 1.4 * shape.girth
    bend = (0.9 + rng.uniform(0, 0.1), 0.0, z - 0.25)
    return [
        *solids,
        limb((0.7, 0, z), bend, 0.09, skin),
        limb(bend, (bend[0] + rng.uniform(-0.1, 0.3), 0, z - 0.55), 0.06, skin),
    ]


def mouse(rng: np.random.Generator) -> list[Solid]:
    """Small and low, with round ears and a thin long tail."""
    shape = Animal(
        coat(rng, 0.3),
        girth=rng.uniform(0.24, 0.32),
        legs=0.05,
        leg_width=0.05,
        neck=0.1,
        neck_angle=0.2,
        head=rng.uniform(0.2, 0.26),
        muzzle=0.12,
        muzzle_width=0.35,
        ears="round",
        ear_size=rng.uniform(0.6, 0.85),
        tail=rng.uniform(0.8, 1.1),
        tail_width=0.025,
        tail_angle=0.1,
    )
    return animal(shape, rng, ("stand", "sit"))


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


def turtle(rng: np.random.Generator) -> list[Solid]:
    """A domed shell, four flat feet, a small head."""
    skin = coat(rng, 0.05)
    dome = rng.uniform(0.25, 0.42)
    shell = Paint(fur_colour(rng), any_colour(rng), "spots", rng.uniform(0.3, 0.5))
    solids = [
        ball((0, 0, 0.15), (0.52, 0.45, dome), shell),
        limb((0.4, 0, 0.15), (0.72, 0, rng.uniform(0.1, 0.35)), 0.09, skin),
        ball((0.75, 0, 0.25), (0.14, 0.12, 0.12), skin),
        limb((-0.5, 0, 0.1), (-0.68, 0, 0.05), 0.04, skin),
    ]
    for x in (-0.3, 0.32):
        for s in (-1, 1):
            solids.append(limb((x, s * 0.3, 0.1), (x * 1.3, s * 0.52, 0.0), 0.09, skin))
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


SOURCE: dict[str, Model] = {
    "aeroplane": aeroplane,
    "boat": boat,
    "tower": tower,
    "windmill": windmill,
    "bench": bench,
    "lamp": lamp,
    "tractor": tractor,
    "tent": tent,
    "robot": robot,
    "rocket": rocket,
    "bear": bear,
    "horse": horse,
    "pig": pig,
    "elephant": elephant,
    "mouse": mouse,
    "fish": fish,
    "turtle": turtle,
    "spider": spider,
    "mushroom": mushroom,
    "tree": tree,
}
"""Ten classes with straight edges, ten with soft ones."""
