"""The ten classes of `toy_objects`: how an object of each is built, each time another one."""

from __future__ import annotations

import math

import numpy as np

from deepsight.data.toy_objects.bodies import (
    DARK,
    GLASS,
    Animal,
    animal,
    four_legs,
    panes,
    wheels,
)
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
)


def car(rng: np.random.Generator) -> list[Solid]:
    """Saloon, hatchback, estate or van: glass above a low body, four wheels."""
    body = paint(rng)
    length, width = rng.uniform(1.7, 2.3), rng.uniform(0.8, 1.0)
    height, radius = rng.uniform(0.32, 0.5), rng.uniform(0.2, 0.27)
    floor = radius * 0.7
    deck = floor + height
    cabin_height = rng.uniform(0.28, 0.5)
    rear = -length / 2 + rng.choice([0.03, 0.4]) * rng.uniform(0.5, 1.2)
    front = length / 2 - rng.uniform(0.3, 0.7)
    lean_rear, lean_front = rng.uniform(0.05, 0.3), rng.uniform(0.2, 0.45)
    middle, half = (rear + front) / 2, (front - rear) / 2
    outline = [
        (-half, 0),
        (half, 0),
        (half - lean_front, cabin_height),
        (-half + lean_rear, cabin_height),
    ]
    roof = ((lean_rear - lean_front) / 2 + middle, 0, deck + cabin_height)
    bonnet = Paint(shift_colour(body.colour, 0.8))
    return [
        box((0, 0, floor + height / 2), (length, width, height), body),
        slab((middle, 0, deck), outline, width * 0.86, GLASS),
        box(roof, (2 * half - lean_rear - lean_front + 0.06, width * 0.9, 0.07), body),
        box((middle, 0, deck + cabin_height / 2), (0.08, width * 0.9, cabin_height), body),
        box((0, 0, floor + 0.06), (length + 0.06, width * 0.96, 0.1), bonnet),
        *_lamps(length, width, floor + height * 0.7),
        *wheels([-length * 0.31, length * 0.31], width, radius),
    ]


def truck(rng: np.random.Generator) -> list[Solid]:
    """Lorry with a box, a tank or an open bed behind the cab, four or six wheels."""
    cab, load = paint(rng), paint(rng)
    length, width = rng.uniform(2.0, 2.9), rng.uniform(0.8, 1.0)
    radius = rng.uniform(0.2, 0.26)
    floor = radius * 1.2
    cab_length, cab_height = rng.uniform(0.5, 0.75), rng.uniform(0.7, 1.0)
    nose = length / 2 - cab_length / 2
    top = rng.uniform(0.5, 1.15)
    bed = length - cab_length - 0.06
    behind = -length / 2 + bed / 2
    solids = [
        box((0, 0, floor), (length, width * 0.8, 0.12), DARK),
        box((nose, 0, floor + cab_height / 2), (cab_length, width, cab_height), cab),
        box(
            (nose + 0.03, 0, floor + cab_height * 0.72),
            (cab_length, width * 0.86, cab_height * 0.32),
            GLASS,
        ),
        box(
            (nose + 0.08, 0, floor + cab_height * 0.72),
            (cab_length * 0.5, width + 0.03, cab_height * 0.32),
            GLASS,
        ),
        *_lamps(length, width, floor + 0.15),
        *wheels([-length * 0.33, nose] + [-length * 0.12] * int(rng.random() < 0.4), width, radius),
    ]
    kind = rng.random()
    if kind < 0.55:
        solids.append(box((behind, 0, floor + 0.06 + top / 2), (bed, width * 1.04, top), load))
    elif kind < 0.75:
        turn = rotation(0, math.pi / 2)
        solids.append(
            prism(
                (behind, 0, floor + 0.06 + width * 0.42), regular(10, width * 0.45), bed, load, turn
            )
        )
    else:
        side = rng.uniform(0.15, 0.3)
        for y in (-width / 2, width / 2):
            solids.append(box((behind, y, floor + 0.06 + side / 2), (bed, 0.06, side), cab))
        solids.append(box((-length / 2, 0, floor + 0.06 + side / 2), (0.06, width, side), cab))
        if rng.random() < 0.6:
            solids.append(box((behind, 0, floor + 0.25), (bed * 0.6, width * 0.7, 0.5), load))
    return solids


def _lamps(length: float, width: float, height: float) -> list[Solid]:
    """Head lamps and tail lamps of a vehicle."""
    white, red = Paint((1.0, 0.95, 0.7)), Paint((0.75, 0.1, 0.08))
    return [
        box((x * length / 2, y * width * 0.36, height), (0.05, 0.16, 0.12), lamp)
        for x, lamp in ((1, white), (-1, red))
        for y in (-1, 1)
    ]


def house(rng: np.random.Generator) -> list[Solid]:
    """Walls, gable or hipped roof, windows, a door, often a chimney."""
    walls, roof = paint(rng), paint(rng)
    width, depth = rng.uniform(1.0, 1.8), rng.uniform(0.9, 1.3)
    storeys = 1 + int(rng.random() < 0.4)
    height = storeys * rng.uniform(0.55, 0.7)
    rise, eaves = rng.uniform(0.3, 0.8), rng.uniform(0.02, 0.12)
    solids = [box((0, 0, height / 2), (width, depth, height), walls)]
    if rng.random() < 0.7:
        half = depth / 2 + eaves
        gable = [(-half, 0.0), (half, 0.0), (0.0, rise)]
        turned = rotation(math.pi / 2, 0, math.pi / 2)
        solids.append(prism((0, 0, height), gable, width + eaves, roof, turned))
    else:
        solids.append(
            box(
                (0, 0, height + rise / 2),
                (width + eaves, depth + eaves, rise),
                roof,
                taper=rng.uniform(0.05, 0.5),
            )
        )
    if rng.random() < 0.6:
        x, y = rng.uniform(-0.3, 0.3) * width, rng.uniform(-0.25, 0.25) * depth
        solids.append(box((x, y, height + rise * 0.7), (0.2, 0.2, 0.8 * rise), paint(rng)))
    glass = GLASS if rng.random() < 0.7 else Paint((0.95, 0.85, 0.5))
    heights = [height * (i + 0.6) / storeys for i in range(storeys)]
    solids += panes(width, depth, heights, rng.uniform(0.16, 0.24), int(rng.integers(2, 4)), glass)
    door = Paint(any_colour(rng))
    solids.append(box((rng.uniform(-0.2, 0.2) * width, -depth / 2, 0.22), (0.24, 0.06, 0.44), door))
    return solids


def chair(rng: np.random.Generator) -> list[Solid]:
    """Seat, back and four legs; some with arms, some upholstered."""
    wood = paint(rng)
    cover = paint(rng) if rng.random() < 0.4 else wood
    width, depth = rng.uniform(0.75, 1.0), rng.uniform(0.75, 1.0)
    height, back = rng.uniform(0.6, 0.9), rng.uniform(0.6, 1.1)
    thick = rng.uniform(0.09, 0.15)
    cushion = rng.uniform(0.1, 0.3)
    solids = [
        *four_legs(depth - thick, width - thick, height, thick, wood, rng.uniform(0, 0.1)),
        box((0, 0, height), (depth, width, cushion), cover),
    ]
    lean = rng.uniform(0.0, 0.22)
    x, foot = -depth / 2 + 0.05, height
    head = (x - lean, foot + back)
    if rng.random() < 0.5:
        turn = rotation(0, -math.atan2(lean, back))
        solids.append(box((x - lean / 2, 0, foot + back / 2), (thick, width, back), cover, turn))
    else:
        for y in np.linspace(-width / 2 + 0.05, width / 2 - 0.05, int(rng.integers(2, 5))):
            solids.append(rod((x, y, foot), (head[0], y, head[1]), thick * 0.45, wood))
        for share in (0.55, 1.0):
            middle = (x - lean * share, 0, foot + back * share - 0.05)
            solids.append(box(middle, (thick * 0.9, width, 0.16), wood))
    if rng.random() < 0.3:
        for y in (-width / 2, width / 2):
            solids.append(rod((x, y, height + 0.35), (depth / 2, y, height + 0.35), 0.05, wood))
            solids.append(
                rod((depth / 2 - 0.05, y, height), (depth / 2 - 0.05, y, height + 0.35), 0.05, wood)
            )
    return solids


def table(rng: np.random.Generator) -> list[Solid]:
    """A top on four legs or on one foot; some with things on it."""
    wood, top = paint(rng), paint(rng)
    length, width = rng.uniform(1.0, 1.9), rng.uniform(0.8, 1.1)
    height, thick = rng.uniform(0.55, 1.0), rng.uniform(0.1, 0.17)
    if rng.random() < 0.5:
        top = wood
    solids = []
    if rng.random() < 0.35:
        width = length = rng.uniform(1.0, 1.4)
        solids.append(prism((0, 0, height), regular(12, length / 2), 0.12, top))
    else:
        solids.append(box((0, 0, height), (length, width, rng.uniform(0.08, 0.2)), top))
    if rng.random() < 0.7:
        inset = 1 - 0.5 * (width == length)
        solids += four_legs(
            length * 0.9 * inset, width * 0.9 * inset, height, thick, wood, rng.uniform(0, 0.08)
        )
    else:
        solids.append(rod((0, 0, 0), (0, 0, height), thick * 0.7, wood))
        solids.append(prism((0, 0, 0.05), regular(8, 0.3 * length), 0.1, wood, taper=0.6))
    for _ in range(int(rng.integers(0, 3))):
        x, y = rng.uniform(-0.3, 0.3) * length, rng.uniform(-0.3, 0.3) * width
        size = rng.uniform(0.15, 0.3)
        solids.append(box((x, y, height + size / 2), (size, size, size), paint(rng)))
    return solids


def cat(rng: np.random.Generator) -> list[Solid]:
    """Slim, round-headed, upright ears, short muzzle, long tail."""
    shape = Animal(
        coat(rng),
        girth=rng.uniform(0.17, 0.24),
        legs=rng.uniform(0.22, 0.36),
        leg_width=rng.uniform(0.05, 0.075),
        neck=rng.uniform(0.05, 0.14),
        neck_angle=0.8,
        head=rng.uniform(0.2, 0.27),
        muzzle=rng.uniform(0.0, 0.05),
        muzzle_width=rng.uniform(0.4, 0.55),
        ears="pointed",
        ear_size=rng.uniform(0.5, 0.75),
        tail=rng.uniform(0.6, 1.0),
        tail_width=rng.uniform(0.04, 0.07),
        tail_angle=rng.uniform(0.2, 1.4),
    )
    return animal(shape, rng, ("stand", "sit", "sit", "lie"))


def dog(rng: np.random.Generator) -> list[Solid]:
    """Longer muzzle and legs than a cat's, a shorter tail; ears hang or, in some, stand."""
    shape = Animal(
        coat(rng),
        girth=rng.uniform(0.18, 0.28),
        legs=rng.uniform(0.2, 0.5),
        leg_width=rng.uniform(0.06, 0.09),
        neck=rng.uniform(0.1, 0.26),
        neck_angle=0.9,
        head=rng.uniform(0.17, 0.23),
        muzzle=rng.uniform(0.13, 0.26),
        muzzle_width=rng.uniform(0.45, 0.6),
        ears="floppy" if rng.random() < 0.75 else "pointed",
        ear_size=rng.uniform(0.5, 0.85),
        tail=rng.uniform(0.25, 0.55),
        tail_width=rng.uniform(0.04, 0.08),
        tail_angle=rng.uniform(-0.2, 1.0),
    )
    return animal(shape, rng, ("stand", "stand", "sit", "lie"))


def sheep(rng: np.random.Generator) -> list[Solid]:
    """A round woolly trunk on thin legs, a small bare face."""
    wool = Paint(fur_colour(rng), fur=rng.uniform(0.5, 0.8), wool=True)
    shape = Animal(
        wool,
        girth=rng.uniform(0.3, 0.38),
        legs=rng.uniform(0.18, 0.3),
        leg_width=rng.uniform(0.05, 0.07),
        neck=rng.uniform(0.1, 0.16),
        neck_angle=rng.uniform(-0.3, 0.7),
        head=rng.uniform(0.15, 0.19),
        muzzle=rng.uniform(0.05, 0.12),
        muzzle_width=0.6,
        ears="floppy",
        ear_size=rng.uniform(0.4, 0.6),
        tail=rng.uniform(0.0, 0.2),
        tail_width=0.07,
        tail_angle=-1.0,
        face=Paint(fur_colour(rng)),
    )
    solids = animal(shape, rng, ("stand", "stand", "lie"))
    tuft = (0.42, 0.0, shape.legs + 1.5 * shape.girth)
    return [*solids, ball(tuft, (0.16, 0.18, 0.14), wool)] if rng.random() < 0.5 else solids


def rabbit(rng: np.random.Generator) -> list[Solid]:
    """Crouched and round, long ears, a tuft of a tail."""
    fur = coat(rng)
    shape = Animal(
        fur,
        girth=rng.uniform(0.27, 0.36),
        legs=rng.uniform(0.02, 0.1),
        leg_width=rng.uniform(0.07, 0.09),
        neck=rng.uniform(0.05, 0.12),
        neck_angle=0.7,
        head=rng.uniform(0.2, 0.27),
        muzzle=rng.uniform(0.0, 0.06),
        muzzle_width=0.5,
        ears="long",
        ear_size=rng.uniform(0.5, 0.8),
        tail=0.0,
    )
    tail = Paint(fur_colour(rng), fur=fur.fur)
    solids = animal(shape, rng, ("stand", "stand", "sit"))
    return [*solids, ball((-0.52, 0, shape.girth), (0.13, 0.13, 0.13), tail)]


def bird(rng: np.random.Generator) -> list[Solid]:
    """Two legs, a beak, a tail; wings folded or spread."""
    plume, wing = coat(rng, 0.2), coat(rng, 0.2)
    beak = Paint((0.9, rng.uniform(0.3, 0.75), 0.12))
    if rng.random() < 0.5:
        wing = plume
    plump, legs = rng.uniform(0.2, 0.3), rng.uniform(0.12, 0.45)
    tilt = rng.uniform(-0.9, -0.1)
    body_z = legs + plump
    r = rng.uniform(0.13, 0.2)
    chest = (0.4 * math.cos(tilt), 0.0, body_z - 0.4 * math.sin(tilt))
    crown = (chest[0] + rng.uniform(0.0, 0.15), 0.0, chest[2] + rng.uniform(0.1, 0.35))
    tail_end = (-rng.uniform(0.75, 1.05) * math.cos(tilt), 0.0, body_z + 0.75 * math.sin(tilt))
    length = rng.uniform(0.12, 0.35)
    solids = [
        ball((0, 0, body_z), (0.46, 0.8 * plump, plump), plume, rotation(0, tilt)),
        limb(chest, crown, 0.75 * r, plume),
        ball(crown, (r, r * 0.9, r), plume),
        prism(
            (crown[0] + r + length / 2 - 0.04, 0, crown[2] - 0.1 * r),
            regular(6, 0.4 * r),
            length,
            beak,
            rotation(0, math.pi / 2 + 0.15),
            taper=0.1,
        ),
        limb((-0.3, 0, body_z), tail_end, 0.1, wing),
    ]
    spread = rng.random() < 0.35
    lift = rng.uniform(-0.3, 0.9)
    for s in (-1, 1):
        solids.append(
            ball((crown[0] + 0.55 * r, s * 0.62 * r, crown[2] + 0.25 * r), (0.22 * r,) * 3, DARK)
        )
        solids.append(rod((0, 0.09 * s, body_z - 0.5 * plump), (0.03, 0.11 * s, 0), 0.03, beak))
        solids.append(box((0.08, 0.11 * s, 0.02), (0.2, 0.1, 0.04), beak))
        if spread:
            turn = rotation(0, 0, lift * s)
            middle = (0, s * (0.5 * plump + 0.45 * math.cos(lift)), body_z + 0.45 * math.sin(lift))
            solids.append(ball(middle, (0.26, 0.55, 0.06), wing, turn))
        else:
            solids.append(
                ball(
                    (-0.1, s * 0.75 * plump, body_z),
                    (0.42, 0.07, 0.75 * plump),
                    wing,
                    rotation(0, tilt),
                )
            )
    return solids


RIGID: dict[str, Model] = {
    "car": car,
    "truck": truck,
    "house": house,
    "chair": chair,
    "table": table,
}
"""Classes with straight edges."""

ORGANIC: dict[str, Model] = {
    "cat": cat,
    "dog": dog,
    "sheep": sheep,
    "rabbit": rabbit,
    "bird": bird,
}
"""Classes with soft outlines and fur."""
