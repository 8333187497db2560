"""The control of `segment.py`: the same network, data and training with ReLU in place of the spiking neuron."""

from .segment import *

model = dict(model, backbone=dict(model["backbone"], neuron="relu"))
