"""Solids and how they are drawn, against areas and depths worked out by hand."""

import math

import numpy as np
import pytest

from deepsight.data.toy_objects.render import Canvas, Place, draw_solid, noise_tile
from deepsight.data.toy_objects.solids import (
    EYE,
    Paint,
    ball,
    bounds,
    box,
    half_extent,
    limb,
    place,
    prism,
    regular,
    rod,
    rotation,
    slab,
)

RED, BLUE = Paint((1.0, 0.0, 0.0)), Paint((0.0, 0.0, 1.0))
FRONT = np.array((0.0, 0.0, 1.0), np.float32)
ORIGIN = (0.0, 0.0, 0.0)


def shown(*solids, num_object=1, light=FRONT):
    """Draw solids given in pixels about the middle of an image of 40 x 40."""
    canvas = Canvas.empty(40)
    for solid in solids:
        draw_solid(canvas, solid, Place(1.0, (20, 20, 0)), light, np.random.default_rng(0))
    return canvas.resolve(num_object)


def area(solid):
    return float(shown(solid).object_coverage.sum())


TILTED = rotation(0.4, 0.7, 1.1)


@pytest.mark.parametrize(
    ("solid", "expected"),
    [
        (ball(ORIGIN, (10, 10, 10), RED), math.pi * 100),
        (ball(ORIGIN, (12, 5, 9), RED), math.pi * 60),
        (ball(ORIGIN, (12, 5, 9), RED, rotation(0.8)), math.pi * 60),
        (box(ORIGIN, (20, 10, 6), RED), 200),
        (box(ORIGIN, (20, 10, 6), RED, rotation(0.5)), 200),
        (box(ORIGIN, (10, 10, 10), RED, rotation(0, math.pi / 4)), 100 * math.sqrt(2)),
        # the shadow of a cuboid is the sum of its faces' times their slant
        (box(ORIGIN, (12, 8, 10), RED, TILTED), float(np.abs(TILTED[2]) @ (80, 120, 96))),
        (prism(ORIGIN, regular(6, 10), 5, RED), 1.5 * math.sqrt(3) * 100),
        (prism(ORIGIN, regular(4, 10), 8, RED, taper=0.1), 200),
        (prism(ORIGIN, regular(4, 10), 8, RED, rotation(0, math.pi), taper=0.1), 200),
        (slab(ORIGIN, [(-8, 0), (8, 0), (0, 10)], 6, RED), 16 * 6),
    ],
)
def test_a_solid_covers_the_area_of_its_shadow(solid, expected):
    assert area(solid) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("kind", [limb, rod])
def test_a_bar_reaches_from_start_to_end(kind):
    start, end = np.array((-9.0, 3.0, 2.0)), np.array((8.0, -6.0, -5.0))
    drawing = shown(kind(start, end, 2.0, RED))
    for share in (0.2, 0.5, 0.8):
        x, y, _ = start + share * (end - start)
        assert drawing.object_coverage[int(20 + y), int(20 + x)] > 0.6
    low, high = bounds([kind(start, end, 2.0, RED)])
    assert 7 <= (high - low)[2] < 7 + 2 * 2.0


def test_the_nearer_solid_hides_the_other_in_whatever_order():
    near, far = ball((0, 0, 20), (6, 6, 6), RED), box((0, 0, -20), (20, 20, 4), BLUE)
    for solids, num in (((near, far), 1), ((far, near), 1)):
        drawing = shown(*solids, num_object=num)
        assert np.argmax(drawing.colours[20, 20]) == 0
        assert drawing.coverage.sum() == pytest.approx(400, rel=0.01)
    assert drawing.object_coverage.sum() == pytest.approx(400 - math.pi * 36, rel=0.02)


def test_solids_that_meet_are_cut_where_they_meet():
    half_sunk = ball((0, 0, 2), (8, 8, 8), RED)
    plate = box(ORIGIN, (38, 38, 4), BLUE)  # its face lies at z = 2, the ball's middle
    assert shown(half_sunk, plate).object_coverage.sum() == pytest.approx(math.pi * 64, rel=0.02)
    sunk = ball((0, 0, -7), (8, 8, 8), RED)
    assert shown(sunk, plate).object_coverage.sum() == 0


def test_light_comes_from_where_it_says():
    left = np.array((-0.8, 0.0, 0.6), np.float32)
    colours = shown(ball(ORIGIN, (15, 15, 15), RED), light=left).colours[:, :, 0]
    assert colours[20, 10] > 1.5 * colours[20, 30]
    faces = shown(box(ORIGIN, (12, 12, 12), RED, rotation(0, -math.pi / 4)), light=left).colours
    assert faces[20, 14, 0] > 1.5 * faces[20, 26, 0]


@pytest.mark.parametrize("pattern", ["stripes", "checks"])
def test_patterns_are_half_in_the_second_colour(pattern):
    paint = Paint((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), pattern, 5.0)
    colours = shown(box(ORIGIN, (30, 20, 30), paint, rotation(0, 0, math.pi / 2))).colours
    red, _, blue = colours.sum(axis=(0, 1))
    assert blue == pytest.approx(red, rel=0.15)


def test_fur_roughens_the_outline_and_keeps_the_size():
    def rim(fur):
        coverage = shown(ball(ORIGIN, (12, 12, 12), Paint((1, 1, 1), fur=fur))).object_coverage
        return coverage.sum(), np.abs(np.diff(coverage, axis=0)).sum()

    (smooth, smooth_rim), (furry, furry_rim) = rim(0.0), rim(1.0)
    assert furry == pytest.approx(smooth, rel=0.1)
    assert furry_rim > 1.05 * smooth_rim


def test_turning_there_and_back_is_nothing():
    for solid in (ball((1, 2, 3), (3, 4, 5), RED), box((1, 2, 3), (3, 4, 5), RED)):
        back = place(place(solid, TILTED), TILTED.T)
        for field in ("centre", "axes", "planes", "corners", "frame"):
            if getattr(solid, field) is not None:
                np.testing.assert_allclose(getattr(back, field), getattr(solid, field), atol=1e-5)


def test_extents_hold_what_is_drawn():
    for solid in (ball(ORIGIN, (12, 5, 9), RED, TILTED), box(ORIGIN, (12, 8, 10), RED, TILTED)):
        rows, columns = np.nonzero(shown(solid).object_coverage)
        half_x, half_y, _ = half_extent(solid)
        assert columns.max() - columns.min() + 1 == pytest.approx(2 * half_x, abs=1.5)
        assert rows.max() - rows.min() + 1 == pytest.approx(2 * half_y, abs=1.5)


def test_what_lies_outside_the_image_is_left_out():
    drawing = shown(ball((100, 0, 0), (5, 5, 5), RED), ball((-18, 0, 0), (10, 10, 10), RED))
    assert drawing.object_coverage.sum() == 0
    assert 0 < drawing.coverage.sum() < math.pi * 100


def test_box_and_prism_agree():
    outline = [(3, 2), (-3, 2), (-3, -2), (3, -2)]
    made, same = box(ORIGIN, (6, 4, 5), RED, TILTED), prism(ORIGIN, outline, 5, RED, TILTED)
    np.testing.assert_array_equal(shown(made).coverage, shown(same).coverage)
    np.testing.assert_allclose(TILTED @ TILTED.T, EYE, atol=1e-6)


@pytest.mark.parametrize("coarse", [False, True])
def test_noise_is_the_same_each_time_and_of_deviation_one(coarse):
    tile = noise_tile(coarse)
    noise_tile.cache_clear()
    np.testing.assert_array_equal(tile, noise_tile(coarse))
    assert tile.std() == pytest.approx(1, abs=0.01)
    assert not tile.flags.writeable
