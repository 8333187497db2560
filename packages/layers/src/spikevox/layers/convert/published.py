"""The published networks: what each module is called there and here.

A further network, or a head of one, is a function that yields its modules, and a line in ``PUBLISHED``; how files tell it from
others stands in ``recognition.py``.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from spikevox.layers.backends.geometry import Triple
from spikevox.layers.convert.kernel import Axes

Kind = Literal[
    "convolution",
    "biased",
    "plane",
    "biased plane",
    "pointwise",
    "pointwise plane",
    "norm",
    "linear",
    "unbiased",
    "line",
    "square",
]
_TENSORS: dict[Kind, tuple[str, ...]] = {
    "convolution": ("weight",),
    "biased": ("weight", "bias"),
    "plane": ("weight",),
    "biased plane": ("weight", "bias"),
    "pointwise": ("weight", "bias"),
    "pointwise plane": ("weight", "bias"),
    "norm": ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"),
    "linear": ("weight", "bias"),
    "unbiased": ("weight",),
    "line": ("weight",),
    "square": ("weight",),
}
# Kernels of spconv, those of them that lie on a plane, where there they have no third side, and those that a Linear is here.
KERNELS: tuple[Kind, ...] = ("convolution", "biased", "plane", "biased plane", "pointwise", "pointwise plane")
PLANES: tuple[Kind, ...] = ("plane", "biased plane", "pointwise plane")
POINTWISE: tuple[Kind, ...] = ("pointwise", "pointwise plane")
# Axes of length 1 that a layer of torch has there and our Linear does not.
ONES: dict[Kind, int] = {"line": 1, "square": 2}


class Entry(NamedTuple):
    """A module on both sides.

    Attributes:
        published: its name there.
        ours: its name here.
        kind: of both. ``"pointwise"`` is a 1x1x1 convolution with bias there and a Linear here, ``"pointwise plane"`` a 1x1
            one, ``"line"`` and ``"square"`` are convolutions of torch over one and two axes of length 1, ``"linear"`` and
            ``"unbiased"`` stand for all whose tensors are the same on both sides.
        kernel_size: (x, y, z) of a convolution.
    """

    published: str
    ours: str
    kind: Kind
    kernel_size: Triple = (1, 1, 1)

    def tensors(self) -> Iterator[tuple[str, str]]:
        """Names there and here of each of its tensors."""
        for part in _TENSORS[self.kind]:
            yield f"{self.published}.{part}", f"{self.ours}.{part}"


@dataclass(frozen=True)
class Published:
    """A network as the published code stores it.

    Attributes:
        framework: whose container it is.
        container: key of the container under which the tensors are.
        axes: what the sides of its kernels run along.
        part: what stands before all names of the table.
        entries: the modules, from the names of our network's tensors.
    """

    framework: Literal["pointcept", "openpcdet"]
    container: str
    axes: Axes
    part: str
    entries: Callable[[Collection[str]], Iterator[Entry]]


def _triples(side: int) -> Triple:
    return side, side, side


def _unit(
    published: str, first: int, ours: str, second: int, kind: Kind = "convolution", size: Triple = (3, 3, 3)
) -> Iterator[Entry]:
    """A convolution or another layer, and the normalisation behind it."""
    yield Entry(f"{published}.{first}", f"{ours}.{second}", kind, size)
    yield Entry(f"{published}.{first + 1}", f"{ours}.{second + 1}", "norm")


def _stem(published: str, ours: str) -> Iterator[Entry]:
    for first in (0, 3, 6):
        yield from _unit(published, first, ours, first)


def _stage(published: str, ours: str, side: int, names: Collection[str]) -> Iterator[Entry]:
    """Down-sampling and residual blocks."""
    yield Entry(f"{published}.down.1", f"{ours}.0.conv", "convolution", _triples(side))
    yield Entry(f"{published}.down.2", f"{ours}.0.norm", "norm")
    for block in range(_count(names, ours) - 1):
        there, here = f"{published}.blocks.{block}", f"{ours}.{block + 1}"
        yield from _unit(f"{there}.block", 1, f"{here}.first", 1)
        for first in (1, 4):
            yield from _unit(f"{there}.voxel_block", first, f"{here}.second", first)


def _count(names: Collection[str], parent: str) -> int:
    """Numbered children of a module."""
    start = len(parent) + 1
    return len({name[start:].split(".")[0] for name in names if name.startswith(f"{parent}.")})


def _classifier(names: Collection[str]) -> Iterator[Entry]:
    yield from _stem("stem", "encoder.stem.layers")
    for stage in range(_count(names, "encoder.stages")):
        yield from _stage(f"enc.{stage}", f"encoder.stages.{stage}", 2, names)
    yield Entry("final", "head", "pointwise")


def _segmenter(names: Collection[str]) -> Iterator[Entry]:
    yield from _stem("stem", "backbone.stem.layers")
    stages = _count(names, "backbone.down")
    for stage in range(stages):
        yield from _stage(f"enc.{stage}", f"backbone.down.{stage}", 2, names)
    for stage in range(stages):
        # There the finest is the first, here the one that runs first is.
        there, here = f"dec.{stage}", f"backbone.up.{stages - 1 - stage}"
        yield Entry(f"{there}.up.1", f"{here}.conv", "convolution", _triples(2))
        yield Entry(f"{there}.up.2", f"{here}.norm", "norm")
        for first in (1, 4):
            yield Entry(f"{there}.fuse.{first}", f"{here}.fuse.{first}", "linear")
            yield Entry(f"{there}.fuse.{first + 1}", f"{here}.fuse.{first + 1}", "norm")
    yield Entry("final", "head", "pointwise")


def _voxel8x(names: Collection[str]) -> Iterator[Entry]:
    yield from _stem("conv_input", "stem.layers")
    yield from _unit("conv1.0", 1, "entry", 1)
    for stage in range(_count(names, "stages")):
        yield from _stage(f"conv{stage + 2}", f"stages.{stage}", 3, names)
    yield Entry("conv_out.0", "out.0", "convolution", (1, 1, 3))
    yield Entry("conv_out.1", "out.1", "norm")


def _detector(names: Collection[str]) -> Iterator[Entry]:
    """Voxel R-CNN, with or without its second stage."""
    yield from _inside_detector(_voxel8x, names)
    for block, part in enumerate(("fine", "coarse")):
        for unit in range(_count(names, f"bev.{part}")):
            # There a place of nothing but zeros is first, then neuron, convolution, normalisation.
            yield Entry(f"backbone_2d.blocks.{block}.{3 * unit + 2}", f"bev.{part}.{unit}.conv", "unbiased")
            yield Entry(f"backbone_2d.blocks.{block}.{3 * unit + 3}", f"bev.{part}.{unit}.norm", "norm")
        yield Entry(f"backbone_2d.deblocks.{block}.1", f"bev.up.{block}.conv", "unbiased")
        yield Entry(f"backbone_2d.deblocks.{block}.2", f"bev.up.{block}.norm", "norm")
    for there, here in (("conv_cls", "score"), ("conv_box", "box"), ("conv_dir_cls", "direction")):
        yield Entry(f"dense_head.{there}", f"head.{here}", "linear")
    if any(name.startswith("roi_head.") for name in names):
        yield from _roi_head(names)


def _inside_detector(backbone: Callable[[Collection[str]], Iterator[Entry]], names: Collection[str]) -> Iterator[Entry]:
    """The 3D backbone of a detector."""
    for entry in backbone({name.removeprefix("backbone.") for name in names if name.startswith("backbone.")}):
        yield entry._replace(published=f"backbone_3d.{entry.published}", ours=f"backbone.{entry.ours}")


def _roi_head(names: Collection[str]) -> Iterator[Entry]:
    for source in range(_count(names, "roi_head.pools")):
        there, here = f"roi_head.roi_grid_pool_layers.{source}", f"roi_head.pools.{source}"
        yield from _unit(f"{there}.mlps_in.0", 0, f"{here}.of_membrane", 0, "line")
        yield from _unit(f"{there}.mlps_pos.0", 0, f"{here}.of_place", 0, "square")
        yield from _unit(f"{there}.mlps_out.0", 1, f"{here}.out", 0, "line")
    for there, here in (("shared_fc_layer", "shared"), ("cls_fc_layers", "score"), ("reg_fc_layers", "box")):
        # Neuron, layer, normalisation, dropout; neuron, layer, normalisation.
        for first in (1, 5):
            yield from _unit(f"roi_head.{there}", first, f"roi_head.{here}", first, "unbiased")
    yield Entry("roi_head.cls_pred_layer", "roi_head.score.7", "linear")
    yield Entry("roi_head.reg_pred_layer", "roi_head.box.7", "linear")


def _voxelnext(names: Collection[str]) -> Iterator[Entry]:
    biased = any(name.endswith("entry.0.layers.1.bias") for name in names)
    kind: Kind = "biased" if biased else "convolution"
    yield from _unit("conv_input", 0, "volume.stem", 0)
    for block in range(_count(names, "volume.entry")):
        yield from _residual(f"conv1.{block}", f"volume.entry.{block}", kind)
    for stage in range(_count(names, "volume.stages")):
        there, here = f"conv{stage + 2}", f"volume.stages.{stage}"
        yield Entry(f"{there}.0.1", f"{here}.0.conv", "convolution", (3, 3, 3))
        yield Entry(f"{there}.0.2", f"{here}.0.norm", "norm")
        for block in range(1, _count(names, here)):
            yield from _residual(f"{there}.{block}", f"{here}.{block}", kind)
    yield from _unit("conv_out", 1, "plane", 1, "plane", (3, 3, 1))
    yield from _unit("shared_conv", 1, "plane", 4, "biased plane" if biased else "plane", (3, 3, 1))


def _residual(published: str, ours: str, kind: Kind) -> Iterator[Entry]:
    for number in (1, 2):
        yield Entry(f"{published}.conv{number}", f"{ours}.layers.{3 * number - 2}", kind, (3, 3, 3))
        yield Entry(f"{published}.bn{number}", f"{ours}.layers.{3 * number - 1}", "norm")


def _voxelnext_detector(names: Collection[str]) -> Iterator[Entry]:
    """VoxelNeXt with its heads."""
    yield from _inside_detector(_voxelnext, names)
    for group in range(_count(names, "head.branches")):
        home = f"head.branches.{group}"
        for branch in dict.fromkeys(n[len(home) + 1 :].split(".")[0] for n in names if n.startswith(f"{home}.")):
            there, here = f"dense_head.heads_list.{group}.{branch}", f"{home}.{branch}"
            yield from _unit(f"{there}.0", 1, here, 1, "pointwise plane", (1, 1, 1))
            yield Entry(f"{there}.1", f"{here}.3", "pointwise plane")


PUBLISHED = {
    "classifier": Published("pointcept", "state_dict", "xyz", "", _classifier),
    "segmenter": Published("pointcept", "state_dict", "xyz", "", _segmenter),
    "voxel8x": Published("openpcdet", "model_state", "zyx", "backbone_3d.", _voxel8x),
    "single_stage": Published("openpcdet", "model_state", "zyx", "", _detector),
    "voxel_rcnn": Published("openpcdet", "model_state", "zyx", "", _detector),
    "voxelnext": Published("openpcdet", "model_state", "zyx", "backbone_3d.", _voxelnext),
    "voxelnext_detector": Published("openpcdet", "model_state", "zyx", "", _voxelnext_detector),
}
