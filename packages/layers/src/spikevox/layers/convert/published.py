"""The published networks: what each module is called there and here.

A further network, or a head of one, is a function that yields its modules, and a line in ``PUBLISHED``; how files tell it from
others stands in ``recognition.py``.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from spikevox.layers.backends.geometry import Triple
from spikevox.layers.convert.kernel import Axes

Kind = Literal["convolution", "pointwise", "norm", "linear"]
_TENSORS: dict[Kind, tuple[str, ...]] = {
    "convolution": ("weight",),
    "pointwise": ("weight", "bias"),
    "norm": ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"),
    "linear": ("weight", "bias"),
}


class Entry(NamedTuple):
    """A module on both sides.

    Attributes:
        published: its name there.
        ours: its name here.
        kind: a ``"pointwise"`` one is a 1x1x1 convolution with bias there and a Linear here.
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


def _unit(published: str, first: int, ours: str, second: int, side: int = 3) -> Iterator[Entry]:
    """A convolution and the normalisation behind it."""
    yield Entry(f"{published}.{first}", f"{ours}.{second}", "convolution", _triples(side))
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


PUBLISHED = {
    "classifier": Published("pointcept", "state_dict", "xyz", "", _classifier),
    "segmenter": Published("pointcept", "state_dict", "xyz", "", _segmenter),
    "voxel8x": Published("openpcdet", "model_state", "zyx", "backbone_3d.", _voxel8x),
}
