"""Pictures of y: one class for each kind, behind one interface.

A new kind of y fills in `Pictures`, and is added to the table below.
"""

from cvae.evaluation.pictures.base import Drawn, Panel, Pictures
from cvae.evaluation.pictures.clouds import CountPictures, TablePictures, VectorPictures
from cvae.evaluation.pictures.grids import ImagePictures, LabelMapPictures, TokenPictures
from cvae.evaluation.pictures.lines import SequencePictures
from cvae.kinds import Image, Sizes, Target
from cvae.kinds.categories import LabelMap, Tokens
from cvae.kinds.counts import Counts
from cvae.kinds.real import Sequence, Vector
from cvae.kinds.table import Table

__all__ = ["Drawn", "Panel", "Pictures", "pictures_of"]

_PICTURES: dict[type[Target], type[Pictures]] = {
    Image: ImagePictures,
    LabelMap: LabelMapPictures,
    Tokens: TokenPictures,
    Sequence: SequencePictures,
    Vector: VectorPictures,
    Counts: CountPictures,
    Table: TablePictures,
}


def pictures_of(sizes: Sizes) -> Pictures:
    """Return what draws the y of a data set."""
    return _PICTURES[type(sizes.y)](sizes.y)
