"""Conditions: how an item of a data set becomes a pair (x, y), one file per kind.

A condition is built as `condition(sizes)` from the `Sizes` of a data set. It gives the shapes of x
and y, turns items into a `Batch`, encodes a user's request as x, and shows x and y as images.
"""

from cvae.conditions.base import Condition, ConditionBuilder, Wanted
from cvae.conditions.given import GivenCondition, LabelAndGivenCondition
from cvae.conditions.label import LabelCondition, NoCondition
from cvae.conditions.quadrants import QuadrantsCondition

__all__ = [
    "Condition",
    "ConditionBuilder",
    "GivenCondition",
    "LabelAndGivenCondition",
    "LabelCondition",
    "NoCondition",
    "QuadrantsCondition",
    "Wanted",
]
