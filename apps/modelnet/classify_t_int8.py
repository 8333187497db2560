"""The network of `classify_t.py` trained on for integers: in each step it sees its weights as int8 holds them.

Start it from trained weights:

    spikevox train apps/modelnet/classify_t_int8.py --weights apps/modelnet/weights/classify_t.safetensors
"""

from mmengine.optim import CosineAnnealingLR

from spikevox.tasks.quantisation import QuantisationAware

from .classify_t import *

custom_hooks = [dict(type=QuantisationAware)]

epochs = 1
train_cfg = dict(max_epochs=epochs)
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, lr=1e-4, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(type=CosineAnnealingLR, eta_min_ratio=1e-2, begin=0, end=epochs, convert_to_iter_based=True),
]
