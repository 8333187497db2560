"""A cloud as seen from above, coloured by class, or with boxes."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.geometry import box_corners, check_boxes
from spikevox.tasks.view.palette import UNKNOWN, class_colours, point_colours

matplotlib.use("Agg")

from matplotlib.collections import LineCollection
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


def boxes_figure(
    xyz: NDArray[np.floating], groups: Sequence[tuple[str, NDArray[np.floating], Sequence[str]]]
) -> Figure:
    """Grey points and outlines of boxes from above, x to the right and y up; a line from the middle shows the heading.

    Args:
        xyz: (P, 3) coordinates in metres.
        groups: title of the legend, boxes (B, 7), and a text for each box or none at all; later groups lie below earlier ones.

    Raises:
        BoxError: boxes that :func:`~spikevox.tasks.geometry.check_boxes` refuses.
    """
    figure = Figure(figsize=(11, 10), layout="constrained")
    axes: Any = figure.subplots()
    axes.scatter(xyz[:, 0], xyz[:, 1], color="0.6", s=0.5, linewidths=0)
    colours = class_colours(len(groups)) / 255
    handles = []
    for place, (title, boxes, texts) in enumerate(groups):
        colour = tuple(colours[place])
        corners = box_corners(check_boxes(boxes, title))[:, [4, 6, 2, 0, 4], :2]
        front = (corners[:, 0] + corners[:, 1]) / 2
        headings = np.stack([np.asarray(boxes)[:, :2], front], axis=1)
        for lines in (corners, headings):
            axes.add_collection(LineCollection(list(lines), colors=[colour], linewidths=1.2, zorder=3 - place / 10))
        for text, at in zip(texts, corners[:, 0], strict=bool(texts)):
            axes.text(at[0], at[1], text, color=colour, fontsize=6, zorder=4, clip_on=True)
        handles.append(Patch(color=colour, label=f"{title}, {len(boxes)}"))
    axes.autoscale_view()
    axes.set_aspect("equal")
    axes.set_xlabel("x in m")
    axes.set_ylabel("y in m")
    if handles:
        figure.legend(handles=handles, loc="outside right upper")
    return figure
