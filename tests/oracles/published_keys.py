"""Names and shapes of the published networks' tensors, from their description alone; imports nothing of spikevox or spconv."""

import numpy as np
import torch

GRID = (37, 25, 19)


def _norm(name, width):
    shapes = {f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}
    return {**shapes, f"{name}.num_batches_tracked": ()}


def _conv(name, inside, out, sides, spconv):
    return {f"{name}.weight": (out, *sides, inside) if spconv == 2 else (*sides, inside, out)}


def _unit(name, first, inside, out, spconv, sides=(3, 3, 3)):
    return {**_conv(f"{name}.{first}", inside, out, sides, spconv), **_norm(f"{name}.{first + 1}", out)}


def _stage(name, inside, out, blocks, spconv, sides):
    shapes = {**_conv(f"{name}.down.1", inside, out, sides, spconv), **_norm(f"{name}.down.2", out)}
    for j in range(blocks):
        shapes |= _unit(f"{name}.blocks.{j}.block", 1, out, out, spconv)
        shapes |= _unit(f"{name}.blocks.{j}.voxel_block", 1, out, out, spconv)
        shapes |= _unit(f"{name}.blocks.{j}.voxel_block", 4, out, out, spconv)
    return shapes


def _stem(name, inside, width, spconv):
    return {
        **_unit(name, 0, inside, width, spconv),
        **_unit(name, 3, width, width, spconv),
        **_unit(name, 6, width, width, spconv),
    }


def _final(inside, classes, spconv):
    return {**_conv("final", inside, classes, (1, 1, 1), spconv), "final.bias": (classes,)}


def classifier(spconv=2, inside=6, width=16, enc=(16, 32, 64, 128), blocks=1, classes=40):
    shapes = _stem("stem", inside, width, spconv)
    for i, (a, b) in enumerate(zip((width, *enc), enc, strict=False)):
        shapes |= _stage(f"enc.{i}", a, b, blocks, spconv, (2, 2, 2))
    return {**shapes, **_final(enc[-1], classes, spconv)}


def segmenter(spconv=2, inside=4, width=64, enc=(64, 128, 128, 256), dec=(256,) * 4, blocks=2, classes=19):
    shapes = classifier(spconv, inside, width, enc, blocks, classes)
    skips, coarse = (width, *enc), (*dec[1:], enc[-1])
    for i, out in enumerate(dec):
        shapes |= _conv(f"dec.{i}.up.1", coarse[i], out, (2, 2, 2), spconv)
        shapes |= _norm(f"dec.{i}.up.2", out)
        shapes |= {f"dec.{i}.fuse.1.weight": (out, out + skips[i]), f"dec.{i}.fuse.1.bias": (out,)}
        shapes |= _norm(f"dec.{i}.fuse.2", out)
        shapes |= {f"dec.{i}.fuse.4.weight": (out, out), f"dec.{i}.fuse.4.bias": (out,)}
        shapes |= _norm(f"dec.{i}.fuse.5", out)
    return {**shapes, **_final(dec[0], classes, spconv)}


def voxel8x(spconv=2, inside=4, width=16, stages=(32, 64, 64), out=128, blocks=2):
    shapes = {**_stem("conv_input", inside, width, spconv), **_unit("conv1.0", 1, width, width, spconv)}
    for i, (a, b) in enumerate(zip((width, *stages), stages, strict=False)):
        shapes |= _stage(f"conv{i + 2}", a, b, blocks, spconv, (3, 3, 3))
    shapes |= _unit("conv_out", 0, stages[-1], out, spconv, (3, 1, 1))
    return {f"backbone_3d.{name}": shape for name, shape in shapes.items()}


NETWORKS = {"classifier": classifier, "segmenter": segmenter, "voxel8x": voxel8x}
# Small U-Net and backbone: the same names and rules in a twentieth of the time.
NARROW = {
    "classifier": {},
    "segmenter": {"width": 16, "enc": (32, 64, 64, 64), "dec": (64,) * 4, "blocks": 1},
    "voxel8x": {"stages": (32, 32, 64), "out": 64, "blocks": 1},
}


def tensors(name, *, spconv=2, prefix="", seed=0, **sizes):
    """Random tensors under the published names."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for key, shape in NETWORKS[name](spconv, **sizes).items():
        if key.endswith("num_batches_tracked"):
            found[prefix + key] = torch.tensor(7)
        else:
            found[prefix + key] = torch.rand(shape, generator=generator) + 0.1
    return found


def container(name, *, spconv=2, prefix="", others=True, **options):
    """A file's content as the published training code writes it, with what else that holds."""
    found = tensors(name, spconv=spconv, prefix=prefix, **options)
    if name == "voxel8x":
        extra = {"epoch": 80, "it": 100, "version": "pcdet+0.6.0"}
        return {**(extra if others else {}), "model_state": found, "optimizer_state": None}
    return {**({"epoch": 300, "optimizer": {"state": {}}} if others else {}), "state_dict": found}


def firing_tensors(name, **sizes):
    """Tensors by numpy's generator, the same everywhere, whose membranes are of the order of a threshold."""
    generator = np.random.default_rng(0)
    found = {}
    for key, shape in NETWORKS[name](**sizes).items():
        if key.endswith("num_batches_tracked"):
            found[key] = torch.tensor(7)
        elif len(shape) == 1:
            low, high = {"running_var": (0.5, 2), "weight": (0.8, 1.6)}.get(key.rsplit(".", 1)[1], (-0.4, 0.6))
            found[key] = torch.from_numpy(generator.uniform(low, high, shape)).float()
        else:
            values = generator.normal(size=shape)
            found[key] = torch.from_numpy(values * (4 / values[0].size) ** 0.5).float()
    return found


def sites(columns):
    """Features (N, columns) and sites (N, 4), sample, x, y, z, of two samples on an odd grid of three different sides."""
    generator = np.random.default_rng(0)
    rows = np.unique(generator.integers(0, [2, *GRID], (5000, 4)), axis=0)
    features = generator.normal(size=(len(rows), columns))
    return torch.from_numpy(features), torch.from_numpy(rows).int()
