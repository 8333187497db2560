"""What became of every point: nothing is dropped without being counted."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class VoxelReport:
    """Counts of points, summed over the clouds of a batch by ``+``.

    ``points = kept + merged + out_of_range + over_cap + invalid``, always.

    Attributes:
        points: points that came in.
        kept: points that opened a voxel: the number of voxels.
        merged: further points of a voxel, part of its features where the reduction combines them.
        out_of_range: points outside the range of the grid.
        over_cap: points over ``max_points`` in their voxel, or in a voxel over ``max_voxels``.
        invalid: points with NaN or infinite values, dropped on request.
        label_conflicts: voxels whose points carry more than one label.
        clouds: clouds counted.
        empty: clouds that have no voxel left.
    """

    points: int = 0
    kept: int = 0
    merged: int = 0
    out_of_range: int = 0
    over_cap: int = 0
    invalid: int = 0
    label_conflicts: int = 0
    clouds: int = 0
    empty: int = 0

    def __add__(self, other: "VoxelReport") -> "VoxelReport":
        if not isinstance(other, VoxelReport):
            return NotImplemented
        return VoxelReport(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def adds_up(self) -> bool:
        """True where every point that came in is accounted for."""
        return self.points == self.kept + self.merged + self.out_of_range + self.over_cap + self.invalid

    def __str__(self) -> str:
        return (
            f"{self.points} points = {self.kept} kept + {self.merged} merged + {self.out_of_range} out of range "
            f"+ {self.over_cap} over the cap + {self.invalid} invalid; {self.clouds} clouds, {self.empty} empty, "
            f"{self.label_conflicts} label conflicts"
        )
