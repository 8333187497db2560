"""The head of a detector that finds centres on sparse sites: 1x1 layers on a membrane, and boxes from what they say."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikevox.layers import Linear, SparseTensor
from spikevox.layers.backbones import Backbone
from spikevox.layers.energy import uncounted
from spikevox.tasks.datasets.frame import Boxes
from spikevox.tasks.detection.anchor_head import BoxChoice
from spikevox.tasks.detection.centre_loss import CentreOutput, GroupOutput
from spikevox.tasks.detection.centre_targets import CODE, CentreTargets, Map, assign_centres, decode_centres
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.geometry import non_maximum_suppression

# Of VoxelNeXt for nuScenes: sites and classes that are looked at, and boxes a group of classes.
CENTRE_CHOICE = BoxChoice(0.1, 0.2, 500, 83)
NUSCENES_GROUPS = (
    ("car",),
    ("truck", "construction_vehicle"),
    ("bus", "trailer"),
    ("barrier",),
    ("motorcycle", "bicycle"),
    ("pedestrian", "traffic_cone"),
)
_BRANCHES = {"center": 2, "center_z": 1, "dim": 3, "rot": 2, "vel": 2}
# As published; a fresh network finds an object at a site with probability 0.1.
_START = -2.19


class CentreHead(Backbone):
    """Heat and boxes at the sites of a membrane seen from above (VoxelNeXt, CVPR 2023; E-3DSNN's spiking form).

    A branch is neuron, layer, normalisation, layer: the last one reads a membrane. Each group of classes has branches of
    its own: heat, and middle, height, size, heading and velocity.

    Args:
        in_channels: C of the membrane.
        groups: names of the classes of each group.
        lower: x and y of the map's lower corner, in metres.
        cell: size of a site along x and y, in metres: that of a voxel times the stride of the map.
        velocity: whether velocities are told.
        overlap: see :func:`~spikevox.tasks.detection.assign_centres`.
        min_radius: likewise.
        **options: see :class:`~spikevox.layers.backbones.Backbone`.

    Attributes:
        class_names: names of the classes.

    Raises:
        ConfigError: no classes, one in two groups, cells that are not positive, or an overlap outside 0 to 1.

    Example:
        >>> head = CentreHead(128, NUSCENES_GROUPS, lower=(-54, -54), cell=(0.6, 0.6))
        >>> sum(p.numel() for p in head.parameters())
        612678
    """

    def __init__(
        self,
        in_channels: int,
        groups: Sequence[Sequence[str]],
        *,
        lower: tuple[float, float],
        cell: tuple[float, float],
        velocity: bool = True,
        overlap: float = 0.1,
        min_radius: int = 2,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.groups = tuple(tuple(group) for group in groups)
        self.class_names = tuple(name for group in self.groups for name in group)
        if not all(self.groups) or not self.groups or len(set(self.class_names)) != len(self.class_names):
            raise ConfigError(f"each class stands in one group, and each group has one, got {self.groups}.")
        if min(cell) <= 0 or not 0 < overlap < 1 or min_radius < 0:
            raise ConfigError(
                f"cells are positive, overlap lies between 0 and 1 and min_radius from 0 on, got {cell}, {overlap} and "
                f"{min_radius}."
            )
        self.in_channels = in_channels
        self.place = Map((lower[0], lower[1]), (cell[0], cell[1]))
        self.velocity, self.overlap, self.min_radius = velocity, overlap, min_radius
        self.told = {name: width for name, width in _BRANCHES.items() if velocity or name != "vel"}
        self.branches = nn.ModuleList(
            nn.ModuleDict({name: self._branch(width) for name, width in {**self.told, "hm": len(group)}.items()})
            for group in self.groups
        )
        for branches in self.branches:
            nn.init.constant_(branches["hm"][-1].bias, _START)  # type: ignore[index]

    def _branch(self, width: int) -> nn.Sequential:
        channels = self.in_channels
        return nn.Sequential(
            self.parts.make_neuron(),
            Linear(channels, channels),
            # Torch's default, as published.
            self.parts.make_norm(channels, eps=1e-5),
            Linear(channels, width),
        )

    def forward(self, x: SparseTensor) -> CentreOutput:
        """What is said at the sites of a membrane (N, C)."""
        strides = torch.tensor(x.tensor_stride[:2], device=x.features.device)
        sites = torch.div(x.coordinates[:, 1:3].long(), strides, rounding_mode="floor")
        groups = []
        for branches in self.branches:
            said = {name: layers(x).features for name, layers in branches.items()}  # type: ignore[operator]
            groups.append(GroupOutput(said["hm"], torch.cat([said[name] for name in self.told], dim=1)))
        return CentreOutput(x.batch_index, sites, x.batch_size, tuple(groups))

    def targets(self, output: CentreOutput, boxes: Sequence[Boxes]) -> list[CentreTargets]:
        """What the head should have said, of each group over all sites of the batch.

        Raises:
            ConfigError: other classes than the head's: they would count as background.
        """
        strange = sorted({name for one in boxes for name in one.names} - set(self.class_names))
        if strange:
            raise ConfigError(f"there are boxes of class {strange[0]!r}; the head knows {', '.join(self.class_names)}.")
        sizes = torch.bincount(output.samples.cpu(), minlength=output.batch_size).tolist()
        starts = np.cumsum([0, *sizes[:-1]]).tolist()
        sites = output.sites.cpu().split(sizes)
        options: dict[str, Any] = {"overlap": self.overlap, "min_radius": self.min_radius}
        result = []
        for names in self.groups:
            parts = [
                assign_centres(there, one, names, self.place, **options)
                for there, one in zip(sites, boxes, strict=True)
            ]
            rows = [part.rows + start for part, start in zip(parts, starts, strict=True)]
            joined = (torch.cat([p.heat for p in parts]), torch.cat(rows), torch.cat([p.codes for p in parts]))
            result.append(CentreTargets(*(tensor.to(output.samples.device) for tensor in joined)))
        return result

    @uncounted("boxes from what is said at sites")
    @torch.no_grad()
    def boxes(self, output: CentreOutput, choice: BoxChoice | None = None) -> list[Boxes]:
        """Detections of each sample, the best score first.

        Of each group the ``candidates`` best pairs of site and class are looked at, and at most ``most`` given; a box gives way
        to a better one of its group, also of another class.

        Raises:
            BoxError: numbers that are not finite.
        """
        choice = choice or CENTRE_CHOICE
        return [self._sample(output, output.samples == sample, choice) for sample in range(output.batch_size)]

    def _sample(self, output: CentreOutput, mine: Tensor, choice: BoxChoice) -> Boxes:
        tables, speeds, scores, names = [], [], [], []
        for group, classes in zip(output.groups, self.groups, strict=True):
            heat = group.heat[mine].double().sigmoid().flatten()
            # NaN is kept here, so that the check of the boxes tells of it.
            rows = (~(heat < choice.score)).nonzero().squeeze(1)
            rows = rows[heat[rows].argsort(descending=True, stable=True)][: choice.candidates]
            where = torch.div(rows, len(classes), rounding_mode="floor")
            codes = group.codes[mine][where]
            padded = nn.functional.pad(codes, (0, len(CODE) - codes.shape[1]))
            table, speed = decode_centres(padded, output.sites[mine][where], self.place)
            sure = heat[rows].cpu().numpy()
            kept = non_maximum_suppression(table, sure, choice.overlap, most=choice.most)
            tables.append(table[kept])
            speeds.append(speed[kept])
            scores.append(sure[kept])
            names += [classes[number] for number in (rows % len(classes)).cpu().numpy()[kept]]
        table, score = np.concatenate(tables), np.concatenate(scores)
        velocities = np.concatenate(speeds) if self.velocity else None
        found = Boxes(table[:, :3], table[:, 3:6], table[:, 6], tuple(names), velocities=velocities, scores=score)
        return found.take(np.argsort(-score, kind="stable"))
