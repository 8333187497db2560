"""The control of `classify_t.py`: the same network, data and training with ReLU in place of the spiking neuron."""

from .classify_t import *

model = dict(model, encoder=dict(model["encoder"], neuron="relu"))
