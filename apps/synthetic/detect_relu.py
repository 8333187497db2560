"""The control of `detect.py`: the same network, data and training with ReLU in place of the spiking neuron."""

from .detect import *

model = dict(model, backbone=dict(model["backbone"], neuron="relu"), bev=dict(model["bev"], neuron="relu"))
