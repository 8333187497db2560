"""Mix3D (Nekrasov et al., 3DV 2021): two scenes in one, so that context alone does not tell a class."""

import numpy as np


def mix_samples(count: int, probability: float, generator: np.random.Generator) -> list[int]:
    """Sample index of each of ``count`` clouds: each pair of neighbours shares one with ``probability``, as drawn once.

    The batch has about half as many samples where clouds are mixed; a last odd one stays alone. ``collate`` takes the
    result as ``samples`` and merges the voxels that coincide.

    Example:
        >>> mix_samples(5, 1.0, np.random.default_rng(0))
        [0, 0, 1, 1, 2]
    """
    mixed = generator.random() < probability
    return [index // 2 if mixed else index for index in range(count)]
