"""Random sparse inputs and convolution geometries; imports nothing of spikevox."""

from collections import Counter

import numpy as np


def random_case(seed):
    """One case as a dict; four of five are well filled: at least 200 sites in a box of up to 12^3, 3 pairs a site."""
    generator = np.random.default_rng(seed)
    kind = "corner" if seed % 5 == 4 else "filled"
    kernel, stride = _sizes(generator, 1, 5 if kind == "corner" else 4), _sizes(generator, 1, 3)
    if kind == "filled":
        # A small kernel, or one that steps far, has few pairs however many sites there are.
        while np.prod(kernel) < max(8, 6 * np.prod(stride)):
            kernel, stride = _sizes(generator, 1, 4), _sizes(generator, 1, 3)
        batch_size = int(generator.choice([1, 2, 3]))
        box = 12 if batch_size == 1 else 8
        sites = max(260, int(batch_size * box**3 * min(0.5, 3.8 / (np.prod(kernel) - 1))))
    else:
        batch_size = int(generator.choice([1, 2, 5, 17, 64]))
        sites, box = int(generator.choice([1, 2, 20, 60])), int(generator.integers(1, 9))
    tensor_stride = int(generator.choice([1, 1, 2]))
    low = int(generator.integers(-10, 5))
    coordinates = np.unique(
        np.column_stack(
            [generator.integers(0, batch_size, 2 * sites), generator.integers(low, low + box, (2 * sites, 3))]
        ),
        axis=0,
    )
    coordinates = coordinates[generator.permutation(len(coordinates))[:sites]]
    coordinates[:, 1:] *= tensor_stride
    groups = int(generator.choice([1, 1, 2]))
    dilation = _sizes(generator, 1, 2)
    padding = None if generator.random() < 0.5 else tuple(int(p) for p in generator.integers(0, 3, 3))
    case = {
        "seed": seed,
        "kind": kind,
        "batch_size": batch_size,
        "coordinates": coordinates,
        "tensor_stride": (tensor_stride,) * 3,
        "kernel": kernel,
        "stride": stride,
        "dilation": dilation,
        "padding": padding,
        "groups": groups,
        "channels": (2 * groups, 3 * groups),
        "bias": bool(generator.random() < 0.5),
        "sites": str(generator.choice(["covered", "stride"])),
    }
    case["features"] = generator.normal(size=(len(coordinates), case["channels"][0]))
    return case


def _sizes(generator, low, high):
    """Three equal numbers, or three of their own."""
    sizes = generator.integers(low, high + 1, 3)
    return (int(sizes[0]),) * 3 if generator.random() < 0.5 else tuple(int(s) for s in sizes)


def default_padding(kernel, dilation):
    """dilation * (k // 2) for odd k, 0 for even k."""
    return tuple(d * (k // 2) if k % 2 else 0 for k, d in zip(kernel, dilation, strict=True))


def coverage_table(cases, pairs_per_site):
    """How often each property occurred, as text."""
    count = Counter()
    for case, pairs in zip(cases, pairs_per_site, strict=True):
        used = np.unique(case["coordinates"][:, 0])
        count["cases"] += 1
        count["at least 200 sites and 3 pairs a site"] += len(case["coordinates"]) >= 200 and pairs >= 3
        count["one site"] += len(case["coordinates"]) == 1
        count["empty samples"] += len(used) < case["batch_size"]
        count["batch of 64"] += case["batch_size"] == 64
        count["negative coordinates"] += bool((case["coordinates"][:, 1:] < 0).any())
        count["even kernel"] += any(k % 2 == 0 for k in case["kernel"])
        count["kernel of 5"] += 5 in case["kernel"]
        count["uneven kernel"] += len(set(case["kernel"])) > 1
        count["stride above 1"] += max(case["stride"]) > 1
        count["dilation"] += max(case["dilation"]) > 1
        count["padding given"] += case["padding"] is not None
        count["groups"] += case["groups"] > 1
        count["bias"] += case["bias"]
        count["tensor stride 2"] += case["tensor_stride"][0] == 2
    return "\n".join(f"{name:<40} {number}" for name, number in count.items())
