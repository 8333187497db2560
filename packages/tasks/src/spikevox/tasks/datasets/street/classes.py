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

from spikevox.tasks.datasets.pandaset_label import FOURTEEN
from spikevox.tasks.datasets.semantickitti_label import CLASSES

PANDASET_CLASSES = tuple(FOURTEEN)
SEMANTICKITTI_CLASSES = tuple(CLASSES)


class StreetClass(NamedTuple):
    """A class and its name elsewhere.

    Attributes:
        name: of the class.
        pandaset: its name among PANDASET_CLASSES, empty where they have none.
        semantickitti: its name among SEMANTICKITTI_CLASSES, empty where they have none.
        boxed: whether its objects have a 3D box and an instance number.
    """

    name: str
    pandaset: str
    semantickitti: str
    boxed: bool = False


STREET_TABLE = (
    StreetClass("road", "road", "road"),
    StreetClass("lane_marking", "marking", "road"),
    StreetClass("parking", "road", "parking"),
    StreetClass("sidewalk", "sidewalk", "sidewalk"),
    StreetClass("terrain", "road", "terrain"),  # PandaSet's "Ground" is merged with its road
    StreetClass("other_ground", "sidewalk", "other-ground"),  # traffic islands
    StreetClass("building", "building", "building"),
    StreetClass("wall", "other static", "fence"),
    StreetClass("fence", "other static", "fence"),
    StreetClass("vegetation", "vegetation", "vegetation"),
    StreetClass("trunk", "vegetation", "trunk"),
    StreetClass("pole", "other static", "pole"),
    StreetClass("sign", "sign", "traffic-sign"),
    StreetClass("cone", "cone", "", boxed=True),
    StreetClass("other_static", "other static", ""),
    StreetClass("reflection", "reflection", ""),
    StreetClass("car", "car", "car", boxed=True),
    StreetClass("van", "car", "car", boxed=True),
    StreetClass("pickup", "pickup", "car", boxed=True),
    StreetClass("truck", "truck", "truck", boxed=True),
    StreetClass("bus", "", "other-vehicle", boxed=True),
    StreetClass("construction_vehicle", "construction vehicle", "other-vehicle", boxed=True),
    StreetClass("motorcycle", "", "motorcycle", boxed=True),
    StreetClass("bicycle", "", "bicycle", boxed=True),
    StreetClass("pedestrian", "pedestrian", "person", boxed=True),
    StreetClass("cyclist", "", "bicyclist", boxed=True),
    StreetClass("motorcyclist", "", "motorcyclist", boxed=True),
)
STREET_CLASSES = tuple(row.name for row in STREET_TABLE)
CLASS_NUMBERS = {name: number for number, name in enumerate(STREET_CLASSES)}
BOXED_CLASSES = tuple(row.name for row in STREET_TABLE if row.boxed)


def _numbers(names: tuple[str, ...], column: int) -> NDArray[np.int64]:
    return np.array([names.index(row[column]) if row[column] else -1 for row in STREET_TABLE], dtype=np.int64)


# (classes,) number of each class of STREET_CLASSES in the other lists, -1 where they have none.
TO_PANDASET = _numbers(PANDASET_CLASSES, 1)
TO_SEMANTICKITTI = _numbers(SEMANTICKITTI_CLASSES, 2)
