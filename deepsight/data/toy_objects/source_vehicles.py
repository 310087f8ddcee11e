"""Vehicles and buildings that embedded weights are learnt from: see `source_classes`."""

from __future__ import annotations

import itertools
import math

import numpy as np

from deepsight.data.toy_objects.bodies import (
    DARK,
    GLASS,
    HUB,
    panes,
    ring,
    wheels,
)
from deepsight.data.toy_objects.scenes import (
    Model,
    any_colour,
    paint,
    shift_colour,
)
from deepsight.data.toy_objects.solids import (
    LYING,
    Paint,
    Solid,
    ball,
    box,
    prism,
    regular,
    rod,
    rotation,
    slab,
    wheel,
)


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


def locomotive(rng: np.random.Generator) -> list[Solid]:
    """A boiler with a chimney, a cab behind it, many wheels."""
    body, cab = paint(rng), paint(rng)
    r = rng.uniform(0.2, 0.3)
    floor, length = 0.35, rng.uniform(1.0, 1.4)
    front = 0.3 + length / 2
    radius = rng.uniform(0.16, 0.24)
    return [
        box((0.1, 0, floor), (length + 0.9, 0.5, 0.1), DARK),
        prism((0.3, 0, floor + r), regular(10, r), length, body, LYING),
        prism((front - 0.2, 0, floor + 2 * r + 0.15), regular(8, 0.1), 0.35, DARK),
        ball((0.25, 0, floor + 2 * r), (0.14, 0.14, 0.14), cab),
        box((-0.45, 0, floor + 0.45), (0.5, 0.62, 0.9), cab),
        box((-0.45, 0, floor + 0.65), (0.25, 0.65, 0.25), GLASS),
        box((-0.45, 0, floor + 0.93), (0.6, 0.7, 0.08), body),
        *wheels([-0.5, -0.1, 0.3, 0.7], 0.5, radius),
    ]


def helicopter(rng: np.random.Generator) -> list[Solid]:
    """A glass nose, a thin boom with a small rotor, a large rotor above."""
    hull = paint(rng)
    spin, span = rng.uniform(0, 1.57), rng.uniform(1.2, 1.7)
    solids = [
        ball((0, 0, 0.5), (0.5, 0.3, rng.uniform(0.28, 0.36)), hull),
        ball((0.22, 0, 0.53), (0.33, 0.25, 0.24), GLASS),
        rod((-0.3, 0, 0.55), (-1.2, 0, 0.7), 0.08, hull),
        slab((-1.2, 0, 0.7), [(-0.12, -0.1), (0.1, -0.1), (0.0, 0.3), (-0.12, 0.3)], 0.05, hull),
        rod((0, 0, 0.8), (0, 0, 1.0), 0.05, DARK),
        box((0, 0, 1.0), (span, 0.1, 0.03), DARK, rotation(spin)),
        box((0, 0, 1.0), (span, 0.1, 0.03), DARK, rotation(spin + 1.57)),
        box((-1.2, 0.06, 0.75), (0.4, 0.03, 0.06), DARK, rotation(0, rng.uniform(0, 3.1))),
    ]
    for s in (-1, 1):
        solids.append(rod((-0.4, s * 0.25, 0.05), (0.45, s * 0.25, 0.05), 0.035, DARK))
        for x in (-0.2, 0.25):
            solids.append(rod((x, s * 0.25, 0.05), (x, s * 0.15, 0.35), 0.03, DARK))
    return solids


def bicycle(rng: np.random.Generator) -> list[Solid]:
    """Two thin wheels of spokes in a frame of rods."""
    frame, tyre = paint(rng), Paint(shift_colour(any_colour(rng), 0.5))
    radius, thick = rng.uniform(0.35, 0.45), rng.uniform(0.035, 0.06)
    reach = rng.uniform(0.5, 0.62)
    hub, crank, seat = (-reach, 0, radius), (-0.05, 0, radius), (-0.2, 0, radius + 0.55)
    bar = (reach - 0.15, 0, radius + 0.6)
    solids = []
    for x in (-reach, reach):
        solids += ring((x, 0, radius), radius, thick, tyre)
        for angle in (0.3, 1.35, 2.4):
            dx, dz = radius * math.cos(angle), radius * math.sin(angle)
            solids.append(rod((x - dx, 0, radius - dz), (x + dx, 0, radius + dz), 0.012, HUB))
    for a, b in (
        (hub, crank),
        (hub, seat),
        (crank, seat),
        (crank, bar),
        (seat, bar),
        (bar, (reach, 0, radius)),
    ):
        solids.append(rod(a, b, thick, frame))
    solids.append(box((-0.22, 0, radius + 0.6), (0.28, 0.14, 0.07), DARK))
    solids.append(rod((bar[0], -0.25, bar[2]), (bar[0], 0.25, bar[2]), 0.035, DARK))
    return solids


def submarine(rng: np.random.Generator) -> list[Solid]:
    """A long rounded hull with a conning tower, a periscope and fins."""
    hull = paint(rng)
    r, length = rng.uniform(0.22, 0.32), rng.uniform(0.8, 1.1)
    tower, height = rng.uniform(-0.1, 0.3), r + rng.uniform(0.15, 0.3)
    solids = [
        ball((0, 0, 0), (length, r, r), hull),
        box((tower, 0, height / 2), (0.4, 0.2, height), hull, taper=0.85),
        rod((tower, 0, height), (tower, 0, height + 0.3), 0.03, DARK),
        rod((tower, 0, height + 0.3), (tower + 0.15, 0, height + 0.3), 0.03, DARK),
        box((-0.85 * length, 0, 0), (0.2, 0.06, 2.2 * r), hull),
        box((-0.85 * length, 0, 0), (0.2, 2.2 * r, 0.06), hull),
        prism((-length, 0, 0), regular(6, 0.16), 0.06, HUB, LYING),
    ]
    for x in (-0.3, 0.1, 0.5):
        solids.append(ball((x * length, -0.9 * r, 0.05), (0.07, 0.08, 0.07), GLASS))
    return solids


def balloon(rng: np.random.Generator) -> list[Solid]:
    """A large ball over a small basket on ropes."""
    cloth = Paint(any_colour(rng), any_colour(rng), str(rng.choice(["", "stripes", "checks"])), 0.4)
    r, gap = rng.uniform(0.6, 0.8), rng.uniform(0.15, 0.35)
    top = 0.3 + gap + r
    solids = [
        ball((0, 0, top + 0.1), (r, r, r * rng.uniform(1.0, 1.2)), cloth),
        prism((0, 0, top - 0.62 * r), regular(10, 0.3 * r), 0.7 * r, cloth, taper=2.4),
        box((0, 0, 0.15), (0.36, 0.36, 0.3), paint(rng)),
    ]
    for x in (-0.16, 0.16):
        for y in (-0.16, 0.16):
            solids.append(rod((x, y, 0.3), (1.6 * x, 1.6 * y, top - 0.75 * r), 0.02, DARK))
    return solids


def crane(rng: np.random.Generator) -> list[Solid]:
    """A mast, a long arm with a hook on a rope, a counterweight."""
    metal = paint(rng)
    height, reach = rng.uniform(1.3, 1.9), rng.uniform(0.8, 1.2)
    hook, drop = rng.uniform(0.5, 0.95) * reach, rng.uniform(0.3, 0.8)
    return [
        box((0, 0, 0.08), (0.6, 0.6, 0.16), DARK),
        rod((0, 0, 0), (0, 0, height), 0.1, metal),
        rod((-0.5, 0, height), (reach, 0, height), 0.07, metal),
        rod((0, 0, height + 0.35), (0.8 * reach, 0, height), 0.03, metal),
        rod((0, 0, height + 0.35), (-0.45, 0, height), 0.03, metal),
        rod((0, 0, height), (0, 0, height + 0.4), 0.06, metal),
        box((-0.42, 0, height - 0.12), (0.26, 0.24, 0.26), HUB),
        box((0.14, 0, height - 0.12), (0.22, 0.22, 0.24), GLASS),
        rod((hook, 0, height), (hook, 0, height - drop), 0.02, DARK),
        box((hook, 0, height - drop - 0.1), (0.25, 0.25, 0.2), paint(rng)),
    ]


def bridge(rng: np.random.Generator) -> list[Solid]:
    """A level way between two pylons, hung from ropes or on an arch."""
    way, stone = paint(rng), paint(rng)
    half, deck = rng.uniform(0.9, 1.2), rng.uniform(0.3, 0.5)
    solids = [box((0, 0, deck), (2 * half + 0.5, 0.4, 0.1), way)]
    hung = rng.random() < 0.5
    top = deck + rng.uniform(0.5, 0.8) if hung else deck
    for s in (-1, 1):
        solids.append(box((s * 0.65 * half, 0, top / 2), (0.16, 0.46, top), stone))
    corners = [(x / 4 - 1, (x / 4 - 1) ** 2) for x in range(9)]
    for (x, sag), (to_x, to_sag) in itertools.pairwise(corners):
        low, high = deck + 0.08, 0.65 * half
        if hung:
            a, b = low + sag * (top - low), low + to_sag * (top - low)
        else:
            a, b = deck * (1 - sag), deck * (1 - to_sag)
        for y in (-0.18, 0.18):
            solids.append(rod((x * high, y, a), (to_x * high, y, b), 0.04, stone))
    return solids


def castle(rng: np.random.Generator) -> list[Solid]:
    """Walls with battlements between round or square towers, a gate."""
    stone = paint(rng)
    roof = paint(rng) if rng.random() < 0.6 else None
    half, height = rng.uniform(0.6, 0.8), rng.uniform(0.5, 0.7)
    tall, sides = height + rng.uniform(0.2, 0.5), int(rng.choice([4, 10]))
    solids = [
        box((0, 0, height / 2), (2 * half, 1.6 * half, height), stone),
        box((0.0, -0.8 * half, 0.2), (0.3, 0.06, 0.4), DARK),
        box((half, 0, 0.2), (0.06, 0.3, 0.4), DARK),
    ]
    for x in (-1, 1):
        for y in (-1, 1):
            at = (x * half, 0.8 * y * half)
            solids.append(prism((*at, tall / 2), regular(sides, 0.24), tall, stone))
            if roof is not None:
                cone = prism((*at, tall + 0.2), regular(sides, 0.28), 0.4, roof, taper=0.05)
                solids.append(cone)
            solids.append(box((*at, 0.75 * tall), (0.5, 0.08, 0.14), GLASS))
    for share in (-0.5, 0.0, 0.5):
        solids.append(box((share * half, 0, height + 0.06), (0.16, 1.62 * half, 0.14), stone))
    return solids


def tank(rng: np.random.Generator) -> list[Solid]:
    """Two tracks, a low hull, a turret with a long gun."""
    armour = Paint(any_colour(rng), any_colour(rng), "spots" if rng.random() < 0.4 else "", 0.5)
    aim, lift = rng.uniform(-0.6, 0.6), rng.uniform(0.0, 0.3)
    turn = rotation(aim, -lift)
    gun = turn @ np.array([rng.uniform(0.9, 1.2), 0, 0], np.float32)
    track = [(-0.7, -0.15), (0.7, -0.15), (0.9, 0.08), (0.8, 0.17), (-0.8, 0.17), (-0.9, 0.08)]
    solids = [
        box((0, 0, 0.42), (1.5, 0.6, 0.25), armour),
        prism((-0.1, 0, 0.65), regular(8, 0.4), 0.26, armour, taper=0.75),
        rod((-0.1, 0, 0.66), (gun[0] - 0.1, gun[1], 0.66 + gun[2]), 0.06, armour),
    ]
    for s in (-1, 1):
        solids.append(slab((0, 0.4 * s, 0.2), track, 0.24, DARK))
        for x in (-0.55, -0.2, 0.15, 0.5):
            solids.append(wheel((x, 0.42 * s, 0.18), 0.13, 0.24, HUB, 8))
    return solids


VEHICLES_AND_BUILDINGS: tuple[Model, ...] = (
    aeroplane,
    boat,
    tractor,
    rocket,
    tower,
    windmill,
    tent,
    locomotive,
    helicopter,
    bicycle,
    submarine,
    balloon,
    crane,
    bridge,
    castle,
    tank,
)
