"""Which published network a file holds, of which size; and which it holds where it is none that is known here."""

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from spikevox.layers.backbones.encoder import SIZES
from spikevox.layers.backbones.unet import UNET_SIZES
from spikevox.layers.backbones.voxel8x import VOXEL8X_SIZES
from spikevox.layers.backbones.voxelnext import VOXELNEXT_SIZES
from spikevox.layers.convert.published import PUBLISHED
from spikevox.layers.convert.report import ConversionError

_HEADS = "dense_head.heads_list"
# A name that only one family of networks has, and what it is. In order: the first that is met counts.
_FAMILIES = (
    (r"(^|\.)dec\.\d+\.fuse\.1\.", "segmenter", ""),
    (r"^stem\.6\.", "classifier", ""),
    (r"^backbone_3d\.conv2\.down\.1\.", "voxel8x", ""),
    (r"^enc\.\d+\.down\.0\.", None, "OA-CNN, the network without neurons (ANN) that E-3DSNN's is derived from"),
    (r"^(enc|down|up|dec)\.\d+\.(block0|0|1)\.", None, "SparseUNet, a network without neurons (ANN)"),
    (r"^backbone_3d\.conv5\.0\.1\.weight", "voxelnext", ""),
    (
        r"^backbone_3d\.conv5\.",
        None,
        "VoxelNeXt without neurons: the ANN, not the spiking network that E-3DSNN describes",
    ),
    (
        r"^backbone_3d\.conv2\.0\.0\.weight",
        None,
        "OpenPCDet's VoxelBackBone8x without neurons: the ANN, not the spiking network that E-3DSNN describes",
    ),
    (
        r"^backbone_3d\.conv2\.0\.1\.weight",
        None,
        "the spiking VoxelBackBone8x without residual blocks, not the one that E-3DSNN describes",
    ),
    (r"^backbone_3d\.conv1\.0\.conv1\.", None, "VoxelResBackBone8x, a network without neurons (ANN)"),
    (r"^backbone_3d\.stem\.", None, "a detection backbone of four stages that is none of the described ones"),
)


class Recognised(NamedTuple):
    """A published network.

    Attributes:
        name: key of ``PUBLISHED``.
        size: of our network.
        in_channels: columns of the voxel features.
        num_classes: ``None`` for a network without a head.
    """

    name: str
    size: str
    in_channels: int
    num_classes: int | None

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of our backbone."""
        return {"size": self.size, "in_channels": self.in_channels}


def strip_wrappers(names: Collection[str]) -> str:
    """What wrapping modules put before every name: ``module.`` and ``backbone.``, in any order and number."""
    prefix = ""
    while names:
        step = next((w for w in ("module.", "backbone.") if all(n.startswith(prefix + w) for n in names)), None)
        if step is None:
            break
        prefix += step
    return prefix


def recognise(tensors: Mapping[str, Tensor]) -> Recognised:
    """Network and size of published tensors, from their names and widths.

    Args:
        tensors: without wrappers before their names.

    Raises:
        ConversionError: another network; the message says which, where it is known.
    """
    name, other = _family(tensors)
    if name is None:
        raise ConversionError(
            f"this is {other}. Networks that can be converted: {', '.join(PUBLISHED)} (first names: "
            f"{', '.join(sorted(tensors)[:3])})."
        )
    parts = _whole(name, tensors)
    stem = "stem" if name in ("classifier", "segmenter") else "backbone_3d.conv_input"
    try:
        width = len(tensors[f"{stem}.1.weight"])
        in_channels = tensors[f"{stem}.0.weight"].numel() // (27 * width)
        size = _SIZES[name](tensors, width)
        classes = _classes(parts, tensors)
    except (KeyError, TypeError, ZeroDivisionError) as error:
        raise ConversionError(
            f"this looks like the {name}, but a tensor that tells its size is missing: {error}."
        ) from error
    return Recognised(parts, size, in_channels, classes)


def _whole(name: str, names: Collection[str]) -> str:
    """The network, with those of a detector's parts that there are beside its 3D backbone."""
    if name == "voxelnext" and any(n.startswith(f"{_HEADS}.") for n in names):
        return "voxelnext_detector"
    if name != "voxel8x":
        return name
    if not any(name.startswith("backbone_2d.blocks.") for name in names):
        return "voxel8x"
    return "voxel_rcnn" if any(n.startswith("roi_head.roi_grid_pool_layers.") for n in names) else "single_stage"


def _classes(name: str, tensors: Mapping[str, Tensor]) -> int | None:
    """Classes of its head; of one with anchors, one for two headings and two halves of the circle."""
    if name in ("classifier", "segmenter"):
        return len(tensors["final.bias"])
    if name == "voxelnext_detector":
        groups = _numbered(tensors, rf"{re.escape(_HEADS)}\.(\d+)\.")
        return sum(len(tensors[f"{_HEADS}.{group}.hm.1.bias"]) for group in range(groups))
    return len(tensors["dense_head.conv_dir_cls.bias"]) // 4 if name in ("single_stage", "voxel_rcnn") else None


def _family(names: Collection[str]) -> tuple[str | None, str]:
    for pattern, name, text in _FAMILIES:
        if any(re.search(pattern, n) for n in names):
            return name, text
    return None, "no published network that is known here"


def _widths(tensors: Mapping[str, Tensor], stages: list[str]) -> tuple[int, ...]:
    return tuple(len(tensors[f"{stage}.weight"]) for stage in stages)


def _numbered(tensors: Mapping[str, Tensor], pattern: str) -> int:
    return len({m[1] for name in tensors if (m := re.match(pattern, name))})


def _encoder_size(tensors: Mapping[str, Tensor], width: int) -> str:
    stages = [f"enc.{i}.down.2" for i in range(_numbered(tensors, r"enc\.(\d+)\."))]
    return _named((width, _widths(tensors, stages), _numbered(tensors, r"enc\.0\.blocks\.(\d+)\.")), SIZES)


def _unet_size(tensors: Mapping[str, Tensor], width: int) -> str:
    count = _numbered(tensors, r"enc\.(\d+)\.")
    down = _widths(tensors, [f"enc.{i}.down.2" for i in range(count)])
    up = _widths(tensors, [f"dec.{i}.up.2" for i in reversed(range(count))])
    return _named((width, down, up, _numbered(tensors, r"enc\.0\.blocks\.(\d+)\.")), UNET_SIZES)


def _voxel8x_size(tensors: Mapping[str, Tensor], width: int) -> str:
    down = _widths(tensors, [f"backbone_3d.conv{i}.down.2" for i in (2, 3, 4)])
    out = len(tensors["backbone_3d.conv_out.1.weight"])
    return _named((width, down, out, _numbered(tensors, r"backbone_3d\.conv2\.blocks\.(\d+)\.")), VOXEL8X_SIZES)


def _voxelnext_size(tensors: Mapping[str, Tensor], width: int) -> str:
    stages = _widths(tensors, [f"backbone_3d.conv{i}.0.2" for i in range(2, 7)])
    blocks = _numbered(tensors, r"backbone_3d\.conv1\.(\d+)\.")
    return _named((width, stages, blocks, "backbone_3d.conv1.0.conv1.bias" in tensors), VOXELNEXT_SIZES)


def _named(found: tuple[Any, ...], sizes: Mapping[str, tuple[Any, ...]]) -> str:
    for name, size in sizes.items():
        if tuple(size) == found:
            return name
    raise ConversionError(
        f"its channels and blocks {found} are those of no size: {', '.join(f'{n} {tuple(s)}' for n, s in sizes.items())}."
    )


_SIZES = {
    "classifier": _encoder_size,
    "segmenter": _unet_size,
    "voxel8x": _voxel8x_size,
    "voxelnext": _voxelnext_size,
}
