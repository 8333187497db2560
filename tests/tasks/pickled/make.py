"""Writes the two tables beside this file with the pandas that is installed: pip install pandas==1.5.3, 2.2.3, 3.1.1."""

import pickle
from pathlib import Path

CUBOIDS = {
    "uuid": ["a", "b", "c"],
    "label": ["Car", "Bus", "Car"],
    "yaw": [0.1, 0.2, -3.0],
    "stationary": [True, False, True],
    "camera_used": [-1, 2, 0],
    "position.x": [1.0, 2.0, 3.5],
    "position.y": [0.0, -2.0, 5.0],
    "position.z": [0.0, 0.1, 0.2],
    "cuboids.sensor_id": [-1, 0, 1],
}
POINTS = {"x": [0.0, 1 / 3, 2 / 3], "d": [0, 1, 0]}


def main():
    import pandas

    # None and NaN cannot be compared, and stand apart.
    cuboids = {**CUBOIDS, "attributes.object_motion": ["Moving", None, float("nan")]}
    stem = f"pandas_{'.'.join(pandas.__version__.split('.')[:2])}"
    folder = Path(__file__).parent
    (folder / f"{stem}_cuboids.pkl").write_bytes(pickle.dumps(pandas.DataFrame(cuboids), 4))
    (folder / f"{stem}_points.pkl").write_bytes(pickle.dumps(pandas.DataFrame(POINTS, index=[5, 7, 9]), 5))


if __name__ == "__main__":
    main()
