"""Other classes, none of them in `toy_objects`, that embedded weights are learnt from.

They are made of the same solids in the same scenes, so that what a network learns from them
(edges, wheels, legs, fur, shading) serves the ten classes too, and no class is seen beforehand.
"""

from __future__ import annotations

from deepsight.data.toy_objects.scenes import Model
from deepsight.data.toy_objects.source_four_legged import FOUR_LEGGED
from deepsight.data.toy_objects.source_other_living import OTHER_LIVING
from deepsight.data.toy_objects.source_things import THINGS
from deepsight.data.toy_objects.source_vehicles import VEHICLES_AND_BUILDINGS

MADE = VEHICLES_AND_BUILDINGS + THINGS
GROWN = FOUR_LEGGED + OTHER_LIVING

SOURCE: dict[str, Model] = {model.__name__: model for model in MADE + GROWN}
"""Fifty classes by name: twenty-eight made by people, twenty-two living."""
