"""Names and shapes of the published detectors' tensors, from their description alone; imports nothing of spikevox or spconv."""

import numpy as np
import torch

from oracles.published_keys import _norm, _unit, voxel8x


def _layer(name, number, out, *inside):
    return {f"{name}.{number}.weight": (out, *inside), **_norm(f"{name}.{number + 1}", out)}


def _plain(name, out, *inside):
    return {f"{name}.weight": (out, *inside), f"{name}.bias": (out,)}


def single_stage(spconv=2, out=128, maps=(64, 128), repeats=5, up=128, **backbone):
    shapes = voxel8x(spconv, out=out, **backbone)
    inside = 2 * out
    for i, width in enumerate(maps):
        for unit in range(repeats + 1):
            shapes |= _layer(f"backbone_2d.blocks.{i}", 3 * unit + 2, width, inside, 3, 3)
            inside = width
        side = (1, 2)[i]
        # A transposed convolution has its inputs first.
        shapes |= {f"backbone_2d.deblocks.{i}.1.weight": (width, up, side, side)}
        shapes |= _norm(f"backbone_2d.deblocks.{i}.2", up)
    for name, count in (("conv_cls", 2), ("conv_box", 14), ("conv_dir_cls", 4)):
        shapes |= _plain(f"dense_head.{name}", count, 2 * up, 1, 1)
    return shapes


def voxel_rcnn(spconv=2, sources=(32, 64, 64), pooled=32, grid=6, hidden=256, **options):
    shapes = single_stage(spconv, stages=sources, **options)
    for i, width in enumerate(sources):
        name = f"roi_head.roi_grid_pool_layers.{i}"
        shapes |= _layer(f"{name}.mlps_in.0", 0, pooled, width, 1)
        shapes |= _layer(f"{name}.mlps_pos.0", 0, pooled, 3, 1, 1)
        shapes |= _layer(f"{name}.mlps_out.0", 1, pooled, pooled, 1)
    inside = len(sources) * pooled * grid**3
    for name in ("shared_fc_layer", "cls_fc_layers", "reg_fc_layers"):
        shapes |= _layer(f"roi_head.{name}", 1, hidden, inside)
        shapes |= _layer(f"roi_head.{name}", 5, hidden, hidden)
        inside = hidden
    return {**shapes, **_plain("roi_head.cls_pred_layer", 1, hidden), **_plain("roi_head.reg_pred_layer", 7, hidden)}


def _kernel(inside, out, sides, spconv):
    return (out, *sides, inside) if spconv == 2 else (*sides, inside, out)


def voxelnext(spconv=2, inside=5, width=16, stages=(32, 64, 128, 128, 128), blocks=2, bias=True):
    def residual(name, channels):
        shapes = {}
        for i in (1, 2):
            shapes |= {f"{name}.conv{i}.weight": _kernel(channels, channels, (3, 3, 3), spconv)}
            shapes |= {f"{name}.conv{i}.bias": (channels,)} if bias else {}
            shapes |= _norm(f"{name}.bn{i}", channels)
        return shapes

    shapes = _unit("conv_input", 0, inside, width, spconv)
    for j in range(blocks):
        shapes |= residual(f"conv1.{j}", width)
    for i, (a, b) in enumerate(zip((width, *stages), stages, strict=False)):
        shapes |= _unit(f"conv{i + 2}.0", 1, a, b, spconv)
        for j in range(blocks):
            shapes |= residual(f"conv{i + 2}.{j + 1}", b)
    channels = stages[-1]
    for name in ("conv_out", "shared_conv"):
        shapes |= {f"{name}.1.weight": _kernel(channels, channels, (3, 3), spconv), **_norm(f"{name}.2", channels)}
    if bias:
        shapes |= {"shared_conv.1.bias": (channels,)}
    return {f"backbone_3d.{name}": shape for name, shape in shapes.items()}


NUSCENES = (1, 2, 2, 1, 2, 2)


def voxelnext_detector(spconv=2, groups=NUSCENES, stages=(32, 64, 128, 128, 128), **backbone):
    shapes = voxelnext(spconv, stages=stages, **backbone)
    channels = stages[-1]
    for group, classes in enumerate(groups):
        for name, width in {"center": 2, "center_z": 1, "dim": 3, "rot": 2, "vel": 2, "hm": classes}.items():
            home = f"dense_head.heads_list.{group}.{name}"
            shapes |= _layer(f"{home}.0", 1, channels, 0)
            shapes |= {
                f"{home}.0.1.weight": _kernel(channels, channels, (1, 1), spconv),
                f"{home}.0.1.bias": (channels,),
            }
            shapes |= {f"{home}.1.weight": _kernel(channels, width, (1, 1), spconv), f"{home}.1.bias": (width,)}
    return shapes


NETWORKS = {
    "single_stage": single_stage,
    "voxel_rcnn": voxel_rcnn,
    "voxelnext": voxelnext,
    "voxelnext_detector": voxelnext_detector,
}
_NARROW = {"maps": (32, 64), "repeats": 2, "up": 64, "out": 64, "blocks": 1}
NARROW = {
    "single_stage": {**_NARROW, "stages": (32, 32, 64)},
    "voxel_rcnn": {**_NARROW, "sources": (32, 32, 64), "pooled": 16, "grid": 4, "hidden": 64},
    "voxelnext": {"stages": (32, 32, 64, 64, 64), "blocks": 1, "bias": False},
}
NARROW["voxelnext_detector"] = NARROW["voxelnext"]
PARAMETERS = {
    "single_stage": 2_946_836,
    "voxel_rcnn": 8_597_116,
    "voxelnext": 7_368_720,
    "voxelnext_detector": 7_981_398,
}


def tensors(name, *, spconv=2, prefix="", seed=0, narrow=False, **options):
    """Random tensors under the published names."""
    generator = torch.Generator().manual_seed(seed)
    sizes = {**(NARROW[name] if narrow else {}), **options}
    found = {}
    for key, shape in NETWORKS[name](spconv, **sizes).items():
        whole = key.endswith("num_batches_tracked")
        found[prefix + key] = torch.tensor(7) if whole else torch.rand(shape, generator=generator) + 0.1
    return found


def drawn(name):
    """Tensors of a narrow detector by numpy's generator, the same everywhere; statistics are those of a fresh network."""
    generator = np.random.default_rng(0)
    found = {}
    for key, shape in NETWORKS[name](**NARROW[name]).items():
        part = key.rsplit(".", 1)[1]
        if part == "num_batches_tracked":
            found[key] = torch.tensor(1)
        elif part.startswith("running"):
            found[key] = torch.full(shape, float(part == "running_var")).double()
        elif len(shape) == 1:
            low, high = (0.8, 1.2) if part == "weight" else (-0.2, 0.2)
            found[key] = torch.from_numpy(generator.uniform(low, high, shape))
        else:
            values = generator.normal(size=shape)
            found[key] = torch.from_numpy(values * (4 / values[0].size) ** 0.5)
    return found


# Three unlike sides: no axis can be taken for another. Maps from above need even numbers at a sixteenth.
GRID, VOXEL, RADII = (48, 32, 33), (0.2, 0.25, 0.19), (0.8, 1.6, 3.2)


def cloud(columns, count=1200):
    """Features and sites (sample, x, y, z) of two samples."""
    generator = np.random.default_rng(0)
    rows = np.unique(generator.integers(0, [2, *GRID], (count, 4)), axis=0)
    return torch.from_numpy(generator.normal(size=(len(rows), columns))), torch.from_numpy(rows).int()


def regions():
    """Turned boxes of two samples; one of them stands where there are no voxels."""
    generator = np.random.default_rng(1)
    columns = [
        generator.uniform((1, 1, 1), (8.6, 7, 5.3), (9, 3)),
        generator.uniform((3, 1.4, 1.2), (4.5, 2, 2), (9, 3)),
        generator.uniform(-3, 3, (9, 1)),
    ]
    table = np.hstack(columns)
    table[4, :2] = -60
    return [torch.from_numpy(part) for part in (table[:5], table[5:])]
