"""The head of a detector with anchors: 1x1 convolutions on a membrane, and boxes from what they say."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikevox.layers.energy import uncounted
from spikevox.tasks.datasets.frame import Boxes
from spikevox.tasks.detection.anchors import AnchorClass, anchor_grid
from spikevox.tasks.detection.losses import AnchorOutput
from spikevox.tasks.detection.targets import AnchorTargets, assign_anchors
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.geometry import decode_boxes, non_maximum_suppression, turn_into_half, wrap_angle

# A network at its start may say anything: no object is e^4 times as long as its anchor.
LARGEST_RATIO = 4.0
# Share of anchors that stand for an object, as a fresh network has it (focal loss, section 4.1).
_PRIOR = 0.01


class BoxChoice(NamedTuple):
    """Which of the boxes at the anchors are given as detections.

    Attributes:
        score: lowest score, from 0 to 1.
        overlap: of two boxes of a class that overlap by more, seen from above, the one with the better score stays.
        candidates: boxes with the best scores that are looked at.
        most: boxes a frame at most.
    """

    score: float = 0.1
    overlap: float = 0.1
    candidates: int = 4096
    most: int = 500


class AnchorHead(nn.Module):
    """Scores, boxes and directions at anchors (SECOND, Sensors 2018; E-3DSNN reads them from the membrane).

    An anchor has one score, that of its own class: it learns objects of that class alone.

    Args:
        in_channels: C of the map.
        anchors: of each class, an AnchorClass or its arguments as a dict.
        extent: lowest x and y, highest x and y of the map, in metres.
        in_cells: where anchors stand, see :func:`~spikevox.tasks.detection.anchor_grid`.

    Attributes:
        class_names: names of the classes.

    Raises:
        ConfigError: no anchors, two classes of one name, or an extent that is not positive.

    Example:
        >>> from spikevox.tasks.detection import KITTI_CAR
        >>> sum(p.numel() for p in AnchorHead(256, [KITTI_CAR], (0, -40, 70.4, 40)).parameters())
        5140
    """

    def __init__(
        self,
        in_channels: int,
        anchors: Sequence[AnchorClass | Mapping[str, Any]],
        extent: tuple[float, float, float, float],
        *,
        in_cells: bool = False,
    ) -> None:
        super().__init__()
        self.classes = tuple(_anchor_class(one) for one in anchors)
        self.class_names = tuple(one.name for one in self.classes)
        if len(set(self.class_names)) != len(self.classes):
            raise ConfigError(f"anchors of one class stand in one entry, got {', '.join(self.class_names)}.")
        self.extent = extent
        self.in_cells = in_cells
        count = anchor_grid(self.classes, extent, (1, 1))[0, 0, ..., 0].numel()
        self.in_channels = in_channels
        self.score = nn.Conv2d(in_channels, count, 1)
        self.box = nn.Conv2d(in_channels, 7 * count, 1)
        self.direction = nn.Conv2d(in_channels, 2 * count, 1)
        nn.init.constant_(self.score.bias, -math.log((1 - _PRIOR) / _PRIOR))  # type: ignore[arg-type]
        nn.init.normal_(self.box.weight, std=0.001)
        self._grids: dict[tuple[int, int], Tensor] = {}

    def anchors(self, cells: tuple[int, int]) -> Tensor:
        """(Y, X, classes, headings, 7) anchors of a map of X, Y cells, on the CPU."""
        if cells not in self._grids:
            self._grids[cells] = anchor_grid(self.classes, self.extent, cells, in_cells=self.in_cells)
        return self._grids[cells]

    def forward(self, x: Tensor) -> AnchorOutput:
        """Membrane (B, C, Y, X) to what is said at each anchor."""
        headings = len(self.classes[0].rotations)
        parts = [layer(x).movedim(1, -1) for layer in (self.score, self.box, self.direction)]
        shape = (*parts[0].shape[:3], len(self.classes), headings)
        return AnchorOutput(parts[0].reshape(shape), parts[1].reshape(*shape, 7), parts[2].reshape(*shape, 2))

    def targets(self, output: AnchorOutput, boxes: Sequence[Boxes]) -> list[AnchorTargets]:
        """What the head should have said of each sample.

        Raises:
            ConfigError: other classes than the head's: they would count as background.
        """
        strange = sorted({name for one in boxes for name in one.names} - set(self.class_names))
        if strange:
            raise ConfigError(
                f"there are boxes of class {strange[0]!r}; the head has anchors of {', '.join(self.class_names)}."
            )
        anchors = self.anchors(_cells(output))
        return [assign_anchors(anchors, one, self.classes) for one in boxes]

    @uncounted("boxes from what is said at anchors")
    @torch.no_grad()
    def boxes(self, output: AnchorOutput, choice: BoxChoice | None = None) -> list[Boxes]:
        """Detections of each sample, the best score first.

        Raises:
            BoxError: numbers that are not finite.
        """
        choice = choice or BoxChoice()
        anchors = self.anchors(_cells(output)).double().reshape(-1, 7)
        classes = torch.arange(len(self.classes))[:, None].expand(output.scores.shape[-2:])
        classes = classes.expand(output.scores.shape[1:]).reshape(-1)
        flat = (
            output.scores.detach().sigmoid().double().cpu().flatten(1),
            output.deltas.detach().double().cpu().flatten(1, -2),
            output.halves.detach().argmax(dim=-1).cpu().flatten(1),
        )
        return [self._choose(*sample, anchors, classes, choice) for sample in zip(*flat, strict=True)]

    def _choose(
        self, scores: Tensor, deltas: Tensor, halves: Tensor, anchors: Tensor, classes: Tensor, choice: BoxChoice
    ) -> Boxes:
        # NaN is kept here, so that the check of the boxes tells of it.
        rows = (~(scores < choice.score)).nonzero().squeeze(1)
        rows = rows[scores[rows].argsort(descending=True, stable=True)][: choice.candidates]
        deltas = deltas[rows]
        deltas[:, 3:6] = deltas[:, 3:6].clamp(max=LARGEST_RATIO)
        found = decode_boxes(deltas, anchors[rows])
        found[:, 6] = wrap_angle(turn_into_half(found[:, 6], halves[rows]))
        return best_boxes(found.numpy(), scores[rows].numpy(), classes[rows].numpy(), self.class_names, choice)


def best_boxes(
    table: NDArray[np.float64],
    scores: NDArray[np.float64],
    classes: NDArray[np.int64],
    names: Sequence[str],
    choice: BoxChoice,
) -> Boxes:
    """Boxes that no better one of their class suppresses, the best score first.

    Args:
        table: (B, 7) x, y, z, length, width, height, yaw.
        scores: (B,).
        classes: (B,) number of each box's class.
        names: of the classes.
        choice: of which ``overlap`` and ``most`` are looked at.

    Raises:
        BoxError: numbers that are not finite.
    """
    kept = non_maximum_suppression(table, scores, choice.overlap, classes=classes, most=choice.most)
    chosen = tuple(names[number] for number in classes[kept])
    return Boxes(table[kept, :3], table[kept, 3:6], table[kept, 6], chosen, scores=scores[kept])


def _cells(output: AnchorOutput) -> tuple[int, int]:
    return output.scores.shape[2], output.scores.shape[1]


def _anchor_class(value: AnchorClass | Mapping[str, Any]) -> AnchorClass:
    try:
        return value if isinstance(value, AnchorClass) else AnchorClass(**value)
    except TypeError as error:
        raise ConfigError(f"anchors of a class need {', '.join(AnchorClass._fields)}: {error}.") from error
