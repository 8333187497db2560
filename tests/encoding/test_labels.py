from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikevox.encoding import labels_to_points, majority_labels


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 3)), min_size=1))
def test_majority_equals_a_count_by_hand(pairs):
    voxel, labels = np.array(pairs).T
    result, conflicts = majority_labels(labels, voxel, 5)
    expected_conflicts = 0
    for index in range(5):
        votes = Counter(label for v, label in pairs if v == index and label != -1)
        best = min(votes, key=lambda label: (-votes[label], label), default=-1)
        assert result[index] == best
        expected_conflicts += len(votes) > 1
    assert conflicts == expected_conflicts


def test_points_get_the_label_of_their_voxel():
    assert labels_to_points(np.array([5, 6]), np.array([1, 0, -1, 1])).tolist() == [6, 5, -1, 6]
