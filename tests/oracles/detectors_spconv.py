"""The published detectors in modules of spconv and torch under the published names, from the description; nothing of spikevox.

Spikes of each neuron are kept in ``spikes``, in the order of the forward pass: of sparse tensors with their sites (sample, x,
y, z), counted in steps of their own.
"""

from functools import partial

import numpy as np
import torch
from torch import nn

from oracles.published_spconv import Detection3d, added, engine, norm

# Behind the 3D backbones the published code leaves torch's own eps.
plain_norm = nn.BatchNorm1d
flat_norm = partial(nn.BatchNorm2d, eps=1e-3)
BRANCHES = {"center": 2, "center_z": 1, "dim": 3, "rot": 2, "vel": 2}


class Spike(nn.Module):
    def forward(self, x):
        return torch.floor(x.clamp(0, 4) + 0.5)


class Watch:
    """Spikes of all neurons from now on, with the sites (sample, x, y, z) of those that a sparse convolution reads or ends with.

    Of a neuron that reads spikes there is nothing to keep: it leaves them as they are.
    """

    def __init__(self, network):
        self.spikes, self.latest = [], None
        for module in network.modules():
            if type(module).__name__ == "Spike":
                module.register_forward_hook(self.keep)
            elif isinstance(module, nn.Conv2d) and module.padding == (0, 0) and module.kernel_size == (3, 3):
                module.register_forward_pre_hook(self.crop)
            elif type(module).__module__.startswith("spconv"):
                module.register_forward_pre_hook(lambda _module, inputs: self.place(inputs[0]))
                module.register_forward_hook(lambda _module, _inputs, output: self.place(output))

    def keep(self, _module, inputs, output):
        self.latest = output
        if not torch.equal(inputs[0], output):
            self.spikes.append((None, output.to(torch.uint8)))

    def place(self, tensor):
        if self.latest is not None and getattr(tensor, "features", None) is self.latest:
            sites = torch.cat([tensor.indices[:, :1], tensor.indices[:, 1:].flip(1)], dim=1)
            self.spikes[-1] = (sites, self.spikes[-1][1])

    def crop(self, _module, inputs):
        """Takes off what ZeroPad2d put around a map before its neuron."""
        spikes = self.spikes[-1][1]
        if inputs[0] is self.latest and spikes.shape == inputs[0].shape:
            self.spikes[-1] = (None, spikes[:, :, 1:-1, 1:-1])


class Flat(nn.Module):
    """The 2D backbone: two resolutions, both brought to the finer one."""

    def __init__(self, inside, widths, repeats, up):
        super().__init__()
        self.blocks, self.deblocks = nn.ModuleList(), nn.ModuleList()
        for i, width in enumerate(widths):
            layers = [nn.ZeroPad2d(1), Spike(), nn.Conv2d(inside, width, 3, i + 1, bias=False), flat_norm(width)]
            for _ in range(repeats):
                layers += [Spike(), nn.Conv2d(width, width, 3, padding=1, bias=False), flat_norm(width)]
            self.blocks.append(nn.Sequential(*layers))
            back = nn.ConvTranspose2d(width, up, i + 1, i + 1, bias=False)
            self.deblocks.append(nn.Sequential(Spike(), back, flat_norm(up)))
            inside = width

    def forward(self, x):
        fine = self.blocks[0](x)
        coarse = self.blocks[1](fine)
        return torch.cat([self.deblocks[0](fine), self.deblocks[1](coarse)], dim=1)


class Anchors(nn.Module):
    def __init__(self, inside):
        super().__init__()
        self.conv_cls, self.conv_box = nn.Conv2d(inside, 2, 1), nn.Conv2d(inside, 14, 1)
        self.conv_dir_cls = nn.Conv2d(inside, 4, 1)

    def forward(self, x):
        return [layer(x) for layer in (self.conv_cls, self.conv_box, self.conv_dir_cls)]


def neighbours(points, samples, sites, cell, radius, reach=4, most=16):
    """(M, most) rows of the first voxels within the radius in order of z, y, x; further places repeat the first; -1 for none."""
    order = np.lexsort((sites[:, 1], sites[:, 2], sites[:, 3]))
    middles = (sites[order, 1:] + 0.5) * cell
    result = np.full((len(points), most), -1)
    for row, (point, sample) in enumerate(zip(points, samples, strict=True)):
        away = np.abs(sites[order, 1:] - np.floor(point / cell)).max(axis=1)
        near = (sites[order, 0] == sample) & (away <= reach) & (((middles - point) ** 2).sum(axis=1) < radius**2)
        found = order[np.flatnonzero(near)[:most]]
        if len(found):
            result[row] = found[0]
            result[row, : len(found)] = found
    return result


class Pool(nn.Module):
    def __init__(self, inside, out, cell, radius):
        super().__init__()
        self.cell, self.radius = np.array(cell), radius
        self.mlps_in = nn.ModuleList([nn.Sequential(nn.Conv1d(inside, out, 1, bias=False), plain_norm(out))])
        place = nn.Sequential(nn.Conv2d(3, out, 1, bias=False), nn.BatchNorm2d(out))
        self.mlps_pos = nn.ModuleList([place])
        last = nn.Sequential(Spike(), nn.Conv1d(out, out, 1, bias=False), plain_norm(out))
        self.relu = Spike()
        self.mlps_out = nn.ModuleList([last])

    def forward(self, x, points, samples):
        """``x`` of spconv, its indices (sample, z, y, x); ``points`` (M, 3) from the grid's lower corner."""
        sites = x.indices[:, [0, 3, 2, 1]].numpy()
        rows = neighbours(points.numpy(), samples.numpy(), sites, self.cell, self.radius)
        features = self.mlps_in[0](x.features.T[None])[0].T
        empty = torch.from_numpy(rows[:, 0] < 0)
        rows = torch.from_numpy(rows.clip(0))
        near = features[rows].masked_fill(empty[:, None, None], 0)
        middles = torch.from_numpy((sites[:, 1:] + 0.5) * self.cell).to(features)
        place = (middles[rows] - points[:, None]).masked_fill(empty[:, None, None], 0)
        told = self.relu(near + self.mlps_pos[0](place.permute(2, 0, 1)[None])[0].permute(1, 2, 0))
        return self.mlps_out[0](told.amax(dim=1).T[None])[0].T


class Regions(nn.Module):
    """The second stage; ``voxel`` is the size of a voxel along x, y, z, and regions stand in metres from the lower corner."""

    def __init__(self, sources, pooled, grid, hidden, voxel, radii):
        super().__init__()
        self.grid = grid
        cells = [tuple(stride * side for side in voxel) for stride in (2, 4, 8)]
        layers = zip(sources, cells, radii, strict=True)
        self.roi_grid_pool_layers = nn.ModuleList(Pool(width, pooled, cell, radius) for width, cell, radius in layers)
        self.shared_fc_layer = self.lines(len(sources) * pooled * grid**3, hidden)
        self.cls_fc_layers, self.reg_fc_layers = self.lines(hidden, hidden), self.lines(hidden, hidden)
        self.cls_pred_layer, self.reg_pred_layer = nn.Linear(hidden, 1), nn.Linear(hidden, 7)

    @staticmethod
    def lines(inside, width):
        first = [Spike(), nn.Linear(inside, width, bias=False), plain_norm(width), nn.Dropout(0.3)]
        return nn.Sequential(*first, Spike(), nn.Linear(width, width, bias=False), plain_norm(width))

    def points(self, region):
        """(grid^3, 3) middles of equal parts, x outermost."""
        steps = (torch.arange(self.grid).double() + 0.5) / self.grid - 0.5
        x, y, z = (axis.flatten() for axis in torch.meshgrid(steps, steps, steps, indexing="ij"))
        x, y, z = x * region[3], y * region[4], z * region[5]
        c, s = torch.cos(region[6]), torch.sin(region[6])
        return torch.stack([x * c - y * s, x * s + y * c, z], dim=1) + region[:3]

    def forward(self, membranes, regions):
        points = torch.cat([self.points(region) for sample in regions for region in sample]).to(membranes[0].features)
        counts = torch.tensor([len(sample) * self.grid**3 for sample in regions])
        samples = torch.arange(len(regions)).repeat_interleave(counts)
        layers = zip(self.roi_grid_pool_layers, membranes, strict=True)
        pooled = torch.cat([layer(x, points, samples) for layer, x in layers], dim=1)
        shared = self.shared_fc_layer(pooled.reshape(-1, self.grid**3 * pooled.shape[1]))
        return (
            self.cls_pred_layer(self.cls_fc_layers(shared))[:, 0],
            self.reg_pred_layer(self.reg_fc_layers(shared)),
        )


class VoxelRcnn(nn.Module):
    def __init__(self, grid, voxel, radii, inside=4, size="published"):
        super().__init__()
        narrow = size == "narrow"
        stages, out = ((32, 32, 64), 64) if narrow else ((32, 64, 64), 128)
        self.backbone_3d = Detection3d(inside, 16, stages, 1 if narrow else 2, out, grid)
        up = 64 if narrow else 128
        self.backbone_2d = Flat(2 * out, (32, 64) if narrow else (64, 128), 2 if narrow else 5, up)
        self.dense_head = Anchors(2 * up)
        self.roi_head = Regions(stages, *((16, 4, 64) if narrow else (32, 6, 256)), voxel, radii)

    def forward(self, features, indices, batch_size, regions):
        *membranes, last = self.backbone_3d(features, indices, batch_size)
        depth, height, width = last.spatial_shape
        flat = last.features.new_zeros(batch_size, last.features.shape[1], depth, height, width)
        sample, z, y, x = last.indices.long().unbind(1)
        flat[sample, :, z, y, x] = last.features
        flat = flat.reshape(batch_size, -1, height, width)
        return self.dense_head(self.backbone_2d(flat)), self.roi_head(membranes, regions)


class Residual(nn.Module):
    def __init__(self, width, key, bias):
        super().__init__()
        conv = partial(engine().SubMConv3d, width, width, 3, padding=1, bias=bias, indice_key=key)
        self.relu1, self.conv1, self.bn1 = Spike(), conv(), norm(width)
        self.relu2, self.conv2, self.bn2 = Spike(), conv(), norm(width)

    def forward(self, x):
        first = self.conv1(x.replace_feature(self.relu1(x.features)))
        first = first.replace_feature(self.relu2(self.bn1(first.features)))
        second = self.conv2(first)
        return added(second.replace_feature(self.bn2(second.features)), x)


class Volume(nn.Module):
    """VoxelNeXt's backbone; indices, kernels and ``grid`` are (z, y, x)."""

    def __init__(self, inside, stages, blocks, bias, grid):
        super().__init__()
        make, self.grid = engine(), list(grid)
        first = make.SubMConv3d(inside, 16, 3, padding=1, bias=False, indice_key="subm1")
        self.conv_input = make.SparseSequential(first, norm(16))
        self.conv1 = nn.Sequential(*(Residual(16, "res1", bias) for _ in range(blocks)))
        before = (16, *stages)
        for i, width in enumerate(stages):
            down = make.SparseConv3d(before[i], width, 3, 2, padding=1, bias=False, indice_key=f"down{i}")
            entry = make.SparseSequential(Spike(), down, norm(width))
            rest = (Residual(width, f"res{i + 2}", bias) for _ in range(blocks))
            setattr(self, f"conv{i + 2}", nn.Sequential(entry, *rest))
        width = stages[-1]
        wide = make.SparseConv2d(width, width, 3, padding=1, bias=False, indice_key="out")
        self.conv_out = make.SparseSequential(Spike(), wide, norm(width))
        shared = make.SubMConv2d(width, width, 3, padding=1, bias=bias, indice_key="shared")
        self.shared_conv = make.SparseSequential(Spike(), shared, plain_norm(width))

    def forward(self, features, indices, batch_size):
        x = self.conv1(self.conv_input(engine().SparseConvTensor(features, indices, self.grid, batch_size)))
        parts = []
        for number in range(2, 7):
            x = getattr(self, f"conv{number}")(x)
            parts.append(x)
        rows, values = [], []
        for factor, one in zip((1, 2, 4), parts[2:], strict=True):
            rows.append(one.indices[:, [0, 2, 3]] * torch.tensor([1, factor, factor], dtype=torch.int32))
            values.append(one.features)
        places, inverse = torch.unique(torch.cat(rows), dim=0, return_inverse=True)
        sums = values[0].new_zeros(len(places), values[0].shape[1]).index_add_(0, inverse, torch.cat(values))
        flat = engine().SparseConvTensor(sums, places, parts[2].spatial_shape[1:], batch_size)
        return self.shared_conv(self.conv_out(flat))


class Head(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        conv = engine().SubMConv2d
        for name, out in {**BRANCHES, "hm": classes}.items():
            hidden = engine().SparseSequential(Spike(), conv(width, width, 1, indice_key=name), plain_norm(width))
            setattr(self, name, nn.Sequential(hidden, conv(width, out, 1, indice_key=f"{name} out")))

    def forward(self, x):
        return {name: getattr(self, name)(x).features for name in (*BRANCHES, "hm")}


class Heads(nn.Module):
    def __init__(self, width, groups):
        super().__init__()
        self.heads_list = nn.ModuleList(Head(width, classes) for classes in groups)


class VoxelNext(nn.Module):
    def __init__(self, grid, inside=5, size="published", groups=(1, 2, 2, 1, 2, 2)):
        super().__init__()
        narrow = size == "narrow"
        stages = (32, 32, 64, 64, 64) if narrow else (32, 64, 128, 128, 128)
        self.backbone_3d = Volume(inside, stages, 1 if narrow else 2, not narrow, grid)
        self.dense_head = Heads(stages[-1], groups)

    def forward(self, features, indices, batch_size):
        """Sites (N, 3), sample, y, x, and what each head says there."""
        x = self.backbone_3d(features, indices, batch_size)
        return x.indices, [head(x) for head in self.dense_head.heads_list]


def train_biased(network):
    """spconv's CPU code refuses layers with a bias in evaluation mode; a convolution is the same in both."""
    for module in network.modules():
        if getattr(module, "bias", None) is not None and type(module).__module__.startswith("spconv"):
            module.train()


@torch.no_grad()
def draw(network):
    """Scales and shifts as a training leaves them, not the ones and zeros that it starts from."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.weight.uniform_(0.8, 1.2)
            module.bias.uniform_(-0.2, 0.2)
    return network


@torch.no_grad()
def settle(network, *inputs):
    """Statistics of a batch, so that neurons fire as in a trained network; then evaluation mode."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1.0
        elif isinstance(module, nn.Dropout):
            module.p = 0.0
    network.train()(*inputs)
    network.eval()
    train_biased(network)
    return network
