"""Four-legged animals that embedded weights are learnt from: see `source_classes`."""

from __future__ import annotations

import numpy as np

from deepsight.data.toy_objects.bodies import DARK, Animal, animal
from deepsight.data.toy_objects.scenes import (
    Model,
    any_colour,
    coat,
    fur_colour,
)
from deepsight.data.toy_objects.solids import (
    Paint,
    Solid,
    ball,
    box,
    limb,
)


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


def giraffe(rng: np.random.Generator) -> list[Solid]:
    """A very long neck on long legs, spots."""
    hide = Paint(fur_colour(rng), fur_colour(rng), "spots", rng.uniform(0.3, 0.5), 0.1)
    shape = Animal(
        hide,
        girth=rng.uniform(0.2, 0.26),
        legs=rng.uniform(0.7, 0.9),
        leg_width=0.06,
        neck=rng.uniform(0.8, 1.1),
        neck_angle=1.15,
        head=0.12,
        muzzle=rng.uniform(0.12, 0.2),
        muzzle_width=0.6,
        ears="pointed",
        ear_size=0.6,
        tail=0.4,
        tail_width=0.03,
        tail_angle=-1.2,
    )
    return animal(shape, rng, ("stand",))


def camel(rng: np.random.Generator) -> list[Solid]:
    """One hump or two on long legs, a bent neck."""
    hair = coat(rng, 0.3)
    shape = Animal(
        hair,
        girth=rng.uniform(0.22, 0.28),
        legs=rng.uniform(0.5, 0.65),
        leg_width=0.06,
        neck=rng.uniform(0.4, 0.55),
        neck_angle=0.6,
        head=0.14,
        muzzle=rng.uniform(0.14, 0.2),
        muzzle_width=0.6,
        ears="round",
        ear_size=0.3,
        tail=0.3,
        tail_width=0.03,
        tail_angle=-1.1,
    )
    z = shape.legs + 2 * shape.girth
    humps = [(0.0, 0.22)] if rng.random() < 0.5 else [(-0.22, 0.16), (0.2, 0.16)]
    return [
        *animal(shape, rng, ("stand",)),
        *(ball((x, 0, z), (wide, 0.13, rng.uniform(0.16, 0.26)), hair) for x, wide in humps),
    ]


def crocodile(rng: np.random.Generator) -> list[Solid]:
    """Long and low, with a flat snout, a tapering tail and a ridge of scales."""
    skin = coat(rng, 0.1)
    snout, sway = rng.uniform(0.4, 0.6), rng.normal(0, 0.25)
    solids = [
        ball((0, 0, 0.2), (0.6, 0.24, 0.17), skin),
        box((0.5 + snout / 2, 0, 0.2), (snout + 0.1, 0.2, 0.1), skin, taper=0.8),
        box((0.5 + snout / 2, 0, 0.12), (snout, 0.18, 0.05), Paint((0.9, 0.87, 0.75))),
        limb((-0.45, 0, 0.18), (-0.95, 0.4 * sway, 0.12), 0.13, skin),
        limb((-0.9, 0.4 * sway, 0.12), (-1.4, sway, 0.06), 0.07, skin),
    ]
    for s in (-1, 1):
        solids.append(ball((0.55, 0.09 * s, 0.27), (0.06, 0.05, 0.06), DARK))
        for x in (-0.35, 0.35):
            solids.append(limb((x, 0.2 * s, 0.18), (x + 0.1, 0.4 * s, 0.0), 0.07, skin))
    for x in np.linspace(-0.8, 0.3, 6):
        solids.append(box((x, 0, 0.36 - 0.12 * abs(x)), (0.1, 0.05, 0.12), skin, taper=0.1))
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


FOUR_LEGGED: tuple[Model, ...] = (
    bear,
    horse,
    pig,
    elephant,
    mouse,
    giraffe,
    camel,
    crocodile,
    turtle,
)
