"""What x and y can be: one file for each kind of y, one for the parts of x.

A kind says which arrays are of it, how networks see its values, and what a likelihood has to know
of them. `Sizes` describes a whole data set.
"""

from cvae.kinds.base import Target, Targets, plain
from cvae.kinds.image import Image
from cvae.kinds.numbers import LARGEST, Standard
from cvae.kinds.parts import Part, PartsEncoder
from cvae.kinds.sizes import Sizes

__all__ = [
    "LARGEST",
    "Image",
    "Part",
    "PartsEncoder",
    "Sizes",
    "Standard",
    "Target",
    "Targets",
    "plain",
]
