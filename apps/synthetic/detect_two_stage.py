"""The detector of `detect.py` with its second stage: the voxels in each proposal judge and mend its box."""

from spikevox.tasks.detection import RoiHead, TwoStageDetector

from .detect import *

model = dict(
    model,
    type=TwoStageDetector,
    roi_head=dict(
        type=RoiHead,
        voxel_size=(0.1, 0.1, 0.15),
        lower=(-reach, -reach, -3.4),
        size="small",
        # Voxels are twice as wide as those of KITTI's detector, and so are the neighbourhoods.
        radii=(0.8, 1.6, 3.2),
        # Trainings are short, and scenes many.
        dropout=0.0,
        batch_norm_momentum=0.05,
    ),
    sampling=dict(places=64),
    # Chosen on the validation scenes, after the training.
    test_proposals=dict(overlap=0.3),
    both_scores=True,
)
