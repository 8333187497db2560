"""Tensors of a published network into ours and back: all of them, or none."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from spikevox.layers.convert.kernel import kernel_from_spconv, kernel_to_spconv, spconv_shape
from spikevox.layers.convert.published import KERNELS, ONES, PLANES, POINTWISE, PUBLISHED, Entry, Published
from spikevox.layers.convert.report import ConversionError, ConversionReport
from spikevox.layers.errors import LayerError


class Conversion(NamedTuple):
    """Converted tensors, and what became of each."""

    tensors: dict[str, Tensor]
    report: ConversionReport


def from_published(
    tensors: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    name: str,
    *,
    prefix: str = "",
    spconv: int | None = None,
    alone: bool = False,
) -> Conversion:
    """Tensors of a published network under our names, in our order.

    Args:
        tensors: as they were published, without the prefix.
        own: state dict of the network that they are for.
        name: of the network, a key of ``PUBLISHED``.
        prefix: for the report.
        spconv: 1 or 2; by default what the shapes tell.
        alone: leave out tensors of other parts of the container, such as the heads of a detector.

    Raises:
        ConversionError: a tensor is missing, left over, of another shape or type, or not finite; with the report.
        LayerError: an unknown name or version.

    Example:
        >>> from spikevox.layers.backbones import Voxel8x
        >>> own = Voxel8x(4).state_dict()
        >>> published = to_published(own, "voxel8x").tensors
        >>> published["backbone_3d.conv_out.0.weight"].shape
        torch.Size([128, 3, 1, 1, 64])
        >>> back = from_published(published, own, "voxel8x")
        >>> all(torch.equal(back.tensors[key], own[key]) for key in own)
        True
    """
    published = _published(name, spconv)
    entries = list(published.entries(own))
    version = spconv or _version(tensors, own, published, entries)
    report = ConversionReport(name, published.framework, version, prefix, len(own))
    result: dict[str, Tensor] = {}
    known = set()
    for entry in entries:
        for there, here in entry.tensors():
            there = published.part + there
            known.add(there)
            if here not in own:
                report.unexpected.append(there)
            elif there not in tensors:
                report.missing.append(there)
            elif _fits(there, tensors[there], _shape(entry, there, own[here], version, published), own[here], report):
                result[here] = _to_ours(entry, there, tensors[there], version, published)
                report.matched.append(there)
    report.missing += [f"({here})" for here in own if here not in {h for e in entries for _, h in e.tensors()}]
    for there in tensors:
        if there not in known:
            apart = alone and not there.startswith(published.part or there)
            (report.left_out if apart else report.unexpected).append(there)
    return Conversion(result, _complete(report))


def to_published(tensors: Mapping[str, Tensor], name: str, *, prefix: str = "", spconv: int = 2) -> Conversion:
    """Tensors of ours under the names, and in the order, of a published network; the inverse of :func:`from_published`.

    Args:
        tensors: state dict of our network.
        name: of the network, a key of ``PUBLISHED``.
        prefix: put before every name.
        spconv: 1 or 2, whose order kernels shall have.

    Raises:
        ConversionError: a tensor is missing, left over or not finite; with the report.
        LayerError: an unknown name or version.
    """
    published = _published(name, spconv)
    report = ConversionReport(name, published.framework, spconv, prefix, len(tensors))
    result: dict[str, Tensor] = {}
    known = set()
    for entry in published.entries(tensors):
        for there, here in entry.tensors():
            there = prefix + published.part + there
            known.add(here)
            if here not in tensors:
                report.missing.append(f"({here})")
            elif not _finite(tensors[here]):
                report.not_finite.append(f"({here})")
            else:
                result[there] = _to_theirs(entry, there, tensors[here], spconv, published)
                report.matched.append(there)
    report.unexpected += [f"({here})" for here in tensors if here not in known]
    return Conversion(result, _complete(report))


def _published(name: str, spconv: int | None) -> Published:
    if name not in PUBLISHED:
        raise LayerError(f"unknown published network {name!r}; there are {', '.join(PUBLISHED)}.")
    if spconv not in (None, 1, 2):
        raise LayerError(f"spconv is 1 or 2, the version whose order the kernels have, got {spconv!r}.")
    return PUBLISHED[name]


def _complete(report: ConversionReport) -> ConversionReport:
    if not report.complete:
        raise ConversionError(f"the weights do not fit and were not converted:\n{report}", report)
    return report


def _version(
    tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], published: Published, entries: list[Entry]
) -> int:
    """Of spconv: the one that the shape of most kernels fits; 2 where it cannot be told."""
    fits = {2: 0, 1: 0}
    for entry in entries:
        there, here = next(iter(entry.tensors()))
        found = tensors.get(published.part + there)
        if entry.kind in KERNELS and found is not None and here in own:
            for version in fits:
                fits[version] += tuple(found.shape) == _shape(entry, there, own[here], version, published)
    return max(fits, key=lambda version: fits[version])


def _shape(entry: Entry, there: str, own: Tensor, spconv: int, published: Published) -> tuple[int, ...]:
    """Shape that a tensor has there."""
    if not there.endswith(".weight"):
        return tuple(own.shape)
    if entry.kind not in KERNELS:
        return tuple(own.shape) + (1,) * ONES.get(entry.kind, 0)
    in_channels, out_channels = reversed(own.shape) if entry.kind in POINTWISE else own.shape[-2:]
    shape = spconv_shape(entry.kernel_size, in_channels, out_channels, spconv=spconv, axes=published.axes)
    if entry.kind not in PLANES:
        return shape
    height = _height(spconv, published)
    return shape[:height] + shape[height + 1 :]


def _height(spconv: int, published: Published) -> int:
    """Axis of a kernel there that runs along z."""
    return (spconv == 2) + "xyz".index("z") * (published.axes == "xyz")


def _fits(name: str, found: Tensor, shape: tuple[int, ...], own: Tensor, report: ConversionReport) -> bool:
    if tuple(found.shape) != shape or found.dtype != own.dtype:
        report.shapes.append(f"{name}: {_text(found.shape, found)} in the file, {_text(shape, own)} in the network")
        return False
    if not _finite(found):
        report.not_finite.append(name)
        return False
    return True


def _text(shape: tuple[int, ...], tensor: Tensor) -> str:
    return f"{tuple(shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())


def _to_ours(entry: Entry, there: str, tensor: Tensor, spconv: int, published: Published) -> Tensor:
    if not there.endswith(".weight"):
        return tensor.clone()
    if entry.kind not in KERNELS:
        return tensor.flatten(1).clone() if entry.kind in ONES else tensor.clone()
    if entry.kind in PLANES:
        tensor = tensor.unsqueeze(_height(spconv, published))
    kernel = kernel_from_spconv(tensor, spconv=spconv, axes=published.axes)
    return kernel[0].T.contiguous() if entry.kind in POINTWISE else kernel


def _to_theirs(entry: Entry, there: str, tensor: Tensor, spconv: int, published: Published) -> Tensor:
    if not there.endswith(".weight"):
        return tensor.clone()
    if entry.kind not in KERNELS:
        return tensor.reshape(*tensor.shape, *[1] * ONES.get(entry.kind, 0)).clone()
    kernel = tensor.T[None] if entry.kind in POINTWISE else tensor
    result = kernel_to_spconv(kernel, entry.kernel_size, spconv=spconv, axes=published.axes)
    return result.squeeze(_height(spconv, published)) if entry.kind in PLANES else result
