"""The network of `classify_t.py` trained on to fire less: about one value in ten is a spike.

Start it from trained weights, which also teach it:

    W=apps/modelnet/weights/classify_t.safetensors
    spikevox train apps/modelnet/classify_t_sparse.py --weights $W --set distillation.weights=$W

The recipe was chosen without the test split, as that of `classify_t.py` was.
"""

from mmengine.optim import CosineAnnealingLR, LinearLR

from .classify_t import *

# Held to as a mean over all values: layers that need more spikes take them from others.
spike_rate = dict(target=0.135, weight=0.5, over="network", ramp=0.3)
distillation = dict(weights="apps/modelnet/weights/classify_t.safetensors", weight=1.0, temperature=2.0)

epochs = 120
warm_up = 2
train_cfg = dict(max_epochs=epochs)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.1, begin=0, end=warm_up, convert_to_iter_based=True),
    dict(type=CosineAnnealingLR, eta_min_ratio=1e-3, begin=warm_up, end=epochs, convert_to_iter_based=True),
]
