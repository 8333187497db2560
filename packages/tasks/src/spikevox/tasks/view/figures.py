"""Pictures of results: confusion matrices, shapes with their spikes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

matplotlib.use("Agg")

from matplotlib.figure import Figure


def confusion_figure(confusion: NDArray[np.integer], class_names: Sequence[str]) -> Figure:
    """Confusion matrix with counts; rows are true classes, shaded by the row's share."""
    count = len(class_names)
    figure = Figure(figsize=(2 + 0.5 * count, 1.6 + 0.5 * count), layout="constrained")
    axes = figure.subplots()
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row in range(count):
        for column in range(count):
            if confusion[row, column]:
                tone = "white" if share[row, column] > 0.5 else "black"
                axes.text(column, row, str(confusion[row, column]), ha="center", va="center", color=tone, fontsize=8)
    axes.set_xticks(range(count), class_names, rotation=45, ha="right")
    axes.set_yticks(range(count), class_names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    return figure


def spikes_figure(samples: Sequence[dict[str, Any]]) -> Figure:
    """Clouds coloured by the spikes that the stem emits in each voxel.

    Args:
        samples: for each cloud ``coordinates`` (V, 3), ``spikes`` (V,) mean spikes a channel, and ``title``.
    """
    columns = min(5, len(samples))
    rows = -(-len(samples) // columns)
    figure = Figure(figsize=(3 * columns, 3.2 * rows), layout="constrained")
    drawn = None
    top = max(float(s["spikes"].max()) for s in samples) if samples else 1.0
    for position, sample in enumerate(samples):
        axes: Any = figure.add_subplot(rows, columns, position + 1, projection="3d")
        x, y, z = np.asarray(sample["coordinates"]).T
        drawn = axes.scatter(x, y, z, c=sample["spikes"], s=6, cmap="viridis", vmin=0, vmax=top)
        axes.set_box_aspect(tuple(np.ptp(sample["coordinates"], axis=0) + 1))
        axes.set_axis_off()
        axes.set_title(sample["title"], fontsize=9)
    if drawn is not None:
        figure.colorbar(drawn, ax=figure.axes, shrink=0.6, label="spikes a channel")
    return figure


def save_figure(figure: Figure, path: str | Path) -> None:
    """Writes a PNG; folders are made as needed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
