"""A cloud as seen from above, coloured by class."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.view.palette import UNKNOWN, class_colours, point_colours

matplotlib.use("Agg")

from matplotlib.figure import Figure
from matplotlib.patches import Patch


def birdseye_figure(
    xyz: NDArray[np.floating],
    panels: Sequence[tuple[str, NDArray[np.integer]]],
    class_names: Sequence[str],
) -> Figure:
    """Points from above, higher ones over lower ones, x to the right and y up; a legend of the classes that occur.

    Args:
        xyz: (P, 3) coordinates in metres.
        panels: title and class (P,) of each point, -1 for none; a panel each, side by side.
        class_names: names of the classes.
    """
    figure = Figure(figsize=(7 * len(panels) + 2, 7), layout="constrained")
    order = np.argsort(xyz[:, 2], kind="stable")
    occurring: set[int] = set()
    for position, (title, classes) in enumerate(panels):
        axes: Any = figure.add_subplot(1, len(panels), position + 1)
        colours = point_colours(classes[order], len(class_names)) / 255
        axes.scatter(xyz[order, 0], xyz[order, 1], c=colours, s=1.5, linewidths=0)
        axes.set_aspect("equal")
        axes.set_xlabel("x in m")
        axes.set_ylabel("y in m")
        axes.set_title(title)
        occurring |= set(classes.tolist())
    names = [*class_names, "none"]
    table = np.vstack([class_colours(len(class_names)), UNKNOWN]) / 255
    handles = [Patch(color=tuple(table[c]), label=names[c]) for c in (*range(len(class_names)), -1) if c in occurring]
    if handles:
        figure.legend(handles=handles, loc="outside right upper")
    return figure
