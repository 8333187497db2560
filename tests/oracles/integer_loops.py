"""A weight pack run by loops over sites, offsets and channels, straight from its arrays; imports nothing of spikevox."""

import itertools

import numpy as np


def run(pack, coordinates, values, samples):
    """Runs a pack.

    Args:
        pack: the open .npz.
        coordinates: (N, 4) sample, x, y, z.
        values: (N, C) of the input in fixed point.
        samples: B.

    Returns:
        Dicts of each table (site -> list of integers), the outputs as float64, and for each layer the additions that spikes
        cause (one for each spike, target and output channel) and the products of layers that read other values.
    """
    channels, layers = pack["header"][[2, 6]].tolist()
    sites = [sorted(map(tuple, coordinates.tolist()))]
    for row in pack["sites"].tolist()[1:]:
        sites.append(derived(sites[row[0]], pack["sites"][row[0]][5:8].tolist(), row))
    tables = {0: {tuple(c): [int(v) for v in row] for c, row in zip(coordinates.tolist(), values, strict=True)}}
    assert all(len(row) == channels for row in tables[0].values())
    additions, products = [], []
    for number in range(layers):
        counts = layer(pack, number, sites, tables)
        additions.append(counts[0])
        products.append(counts[1])
    return tables, outputs(pack, tables, samples), additions, products


def derived(parents, parent_stride, row):
    """Sites that a convolution leads to."""
    floor, extent = row[1], row[2:5]
    kernel, stride, padding, dilation = (row[i : i + 3] for i in (8, 11, 14, 17))
    found = set()
    for sample, *place in parents:
        steps = [p // s for p, s in zip(place, parent_stride, strict=True)]
        axes = []
        for axis in range(3):
            if floor:
                candidates = [steps[axis] // stride[axis]]
            else:
                moved = [steps[axis] + padding[axis] - j * dilation[axis] for j in range(kernel[axis])]
                candidates = [m // stride[axis] for m in moved if m % stride[axis] == 0]
            if extent[0] >= 0:
                reach = dilation[axis] * (kernel[axis] - 1)
                count = max(0, (extent[axis] + 2 * padding[axis] - reach - 1) // stride[axis] + 1)
                candidates = [c for c in candidates if 0 <= c < count]
            axes.append(candidates)
        for x, y, z in itertools.product(*axes):
            scale = [p * s for p, s in zip(parent_stride, stride, strict=True)]
            found.add((sample, x * scale[0], y * scale[1], z * scale[2]))
    return sorted(found)


def layer(pack, number, sites, tables):
    """Runs one layer; additions and products that it needed."""
    on, channels, *_ = pack["layers"][number].tolist()
    sums = {site: [0] * channels for site in sites[on]}
    counts = [0, 0]
    for j, source in enumerate(pack[f"sources/{number}"].tolist()):
        of_source = take(pack, number, j, tables[source], sums)
        counts[0 if pack["tables"][source][0] == 2 else 1] += of_source
    membranes = {site: branch(pack, number, row) for site, row in sums.items()}
    for residual in pack[f"residuals/{number}"].tolist():
        spikes = pack["tables"][residual][0] == 2
        unit = pack[f"unit/{on}"].tolist()
        for site, row in membranes.items():
            for c in range(channels):
                row[c] += tables[residual][site][c] * (unit[c] if spikes else 1)
    for result in pack[f"results/{number}"].tolist():
        tables[result] = membranes if pack["tables"][result][0] == 1 else fired(pack, result, membranes)
    return counts


def take(pack, number, j, table, sums):
    """Adds what a source sends; the additions that its spikes cause, or the products of its values."""
    _, channels, kernel_map, transposed, *_ = pack["layers"][number].tolist()
    weight = pack[f"weight/{number}/{j}"].tolist()
    spikes = pack["tables"][pack[f"sources/{number}"][j]][0] == 2
    count = 0
    for site, row in table.items():
        for k, target in targets(pack, kernel_map, transposed, site):
            if target not in sums:
                continue
            for channel, value in enumerate(row):
                for out in range(channels):
                    sums[target][out] += value * weight[k][channel][out]
                    count += value if spikes else 1
    return count


def fired(pack, table, membranes):
    """Spikes: how many thresholds are reached."""
    limits = pack[f"thresholds/{table}"].tolist()
    return {
        site: [sum(value >= limit[c] for limit in limits) for c, value in enumerate(row)]
        for site, row in membranes.items()
    }


def targets(pack, kernel_map, transposed, site):
    """Offset and output site that an input site has part in."""
    if kernel_map < 0:
        return [(0, site)]
    sign = 1 if transposed else -1
    sample, x, y, z = site
    return [
        (k, (sample, x + sign * dx, y + sign * dy, z + sign * dz))
        for k, (dx, dy, dz) in enumerate(pack[f"offsets/{kernel_map}"].tolist())
    ]


def branch(pack, number, row):
    """Membrane of a site from its sums."""
    if not len(pack[f"sources/{number}"]):
        return list(row)
    numbers = (pack[f"{name}/{number}"].tolist() for name in ("multiplier", "bias", "shift"))
    return [(a * m + o) // 2**s for a, m, o, s in zip(row, *numbers, strict=True)]


def outputs(pack, tables, samples):
    """Results as float64."""
    found = []
    for table, pool in pack["outputs"].tolist():
        kind, on, channels, _ = pack["tables"][table].tolist()
        unit = pack[f"unit/{on}"][:channels].astype(np.int64) if kind == 1 else np.ones(channels, np.int64)
        rows = tables[table]
        if pool == 0:
            found.append(np.array([rows[site] for site in sorted(rows)], np.int64).reshape(-1, channels) / unit)
            continue
        total, count = np.zeros((samples, channels), np.int64), np.zeros(samples, np.int64)
        for site, row in rows.items():
            total[site[0]] += row
            count[site[0]] += 1
        found.append(total / (unit if pool == 2 else np.maximum(count, 1)[:, None] * unit))
    return found
