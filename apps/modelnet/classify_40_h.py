"""E-3DSNN's encoder H on ModelNet40; all else as with T."""

from .classify_40_t import *

model = dict(
    type=Classifier,
    encoder=dict(type=Encoder, size="H", in_channels=6),
    num_classes=40,
    label_smoothing=0.2,
    backend="auto",
)
