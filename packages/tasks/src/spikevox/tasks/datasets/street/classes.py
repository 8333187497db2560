"""Classes of generated streets and what they are called in PandaSet and SemanticKITTI.

| number | class | PandaSet, 14 merged classes | SemanticKITTI, 19 classes |
| -----: | ----- | --------------------------- | ------------------------- |
| 0 | road | road | road |
| 1 | lane_marking | marking | road |
| 2 | parking | road | parking |
| 3 | sidewalk | sidewalk | sidewalk |
| 4 | terrain | road | terrain |
| 5 | other_ground | sidewalk | other-ground |
| 6 | building | building | building |
| 7 | wall | other static | fence |
| 8 | fence | other static | fence |
| 9 | vegetation | vegetation | vegetation |
| 10 | trunk | vegetation | trunk |
| 11 | pole | other static | pole |
| 12 | sign | sign | traffic-sign |
| 13 | cone | cone | - |
| 14 | other_static | other static | - |
| 15 | reflection | reflection | - |
| 16 | car | car | car |
| 17 | van | car | car |
| 18 | pickup | pickup | car |
| 19 | truck | truck | truck |
| 20 | bus | - | other-vehicle |
| 21 | construction_vehicle | construction vehicle | other-vehicle |
| 22 | motorcycle | - | motorcycle |
| 23 | bicycle | - | bicycle |
| 24 | pedestrian | pedestrian | person |
| 25 | cyclist | - | bicyclist |
| 26 | motorcyclist | - | motorcyclist |
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.pandaset_label import FOURTEEN, merge_classes
from spikevox.tasks.datasets.semantickitti_label import CLASSES, to_classes

PANDASET_CLASSES = tuple(FOURTEEN)
SEMANTICKITTI_CLASSES = tuple(CLASSES)


class StreetClass(NamedTuple):
    """A class and what published data sets call it.

    Attributes:
        name: of the class.
        kitti: name of its boxes there, empty for none.
        semantickitti: label number.
        moving: SemanticKITTI's number while the object moves, 0 for none.
        nuscenes: label number of lidarseg.
        pandaset: label number.
        boxed: whether its objects have a 3D box and an instance number.
    """

    name: str
    kitti: str
    semantickitti: int
    moving: int
    nuscenes: int
    pandaset: int
    boxed: bool = False


STREET_TABLE = (
    StreetClass("road", "", 40, 0, 24, 7),
    StreetClass("lane_marking", "", 60, 0, 24, 8),
    StreetClass("parking", "", 44, 0, 24, 7),
    StreetClass("sidewalk", "", 48, 0, 26, 11),
    StreetClass("terrain", "", 72, 0, 27, 6),  # PandaSet's "Ground" is merged with its road
    StreetClass("other_ground", "", 49, 0, 25, 11),  # traffic islands
    StreetClass("building", "", 50, 0, 28, 41),
    StreetClass("wall", "", 51, 0, 28, 42),
    StreetClass("fence", "", 51, 0, 28, 42),
    StreetClass("vegetation", "", 70, 0, 30, 5),
    StreetClass("trunk", "", 71, 0, 30, 5),
    StreetClass("pole", "", 80, 0, 28, 42),
    StreetClass("sign", "", 81, 0, 28, 36),
    StreetClass("cone", "", 99, 0, 12, 37, boxed=True),
    StreetClass("other_static", "", 99, 0, 29, 42),
    StreetClass("reflection", "", 1, 0, 0, 4),
    StreetClass("car", "Car", 10, 252, 17, 13, boxed=True),
    StreetClass("van", "Van", 10, 252, 17, 13, boxed=True),
    StreetClass("pickup", "Car", 10, 252, 23, 14, boxed=True),
    StreetClass("truck", "Truck", 18, 258, 23, 15, boxed=True),
    StreetClass("bus", "Misc", 13, 257, 16, 23, boxed=True),
    StreetClass("construction_vehicle", "Misc", 20, 259, 18, 19, boxed=True),
    StreetClass("motorcycle", "", 15, 0, 21, 18, boxed=True),
    StreetClass("bicycle", "", 11, 0, 14, 26, boxed=True),
    StreetClass("pedestrian", "Pedestrian", 30, 254, 2, 30, boxed=True),
    StreetClass("cyclist", "Cyclist", 31, 253, 14, 26, boxed=True),
    StreetClass("motorcyclist", "Misc", 32, 255, 21, 18, boxed=True),
)
STREET_CLASSES = tuple(row.name for row in STREET_TABLE)
CLASS_NUMBERS = {name: number for number, name in enumerate(STREET_CLASSES)}
BOXED_CLASSES = tuple(row.name for row in STREET_TABLE if row.boxed)


def label_numbers(column: str) -> NDArray[np.int64]:
    """(classes,) label number of each class of STREET_CLASSES in a column of :class:`StreetClass`; here for ``"street"``."""
    if column == "street":
        return np.arange(len(STREET_CLASSES))
    return np.array([getattr(row, column) for row in STREET_TABLE], dtype=np.int64)


# (classes,) number of each class of STREET_CLASSES among the merged ones, -1 where they have none.
TO_PANDASET = merge_classes(label_numbers("pandaset"))
TO_SEMANTICKITTI = to_classes(label_numbers("semantickitti"))
