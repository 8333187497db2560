"""One network in several forms: with spikes, and as the controls that it is compared with."""

from typing import NamedTuple

from spikevox.layers.energy.counts import LayerCount


class Form(NamedTuple):
    """How a network is run.

    Attributes:
        title: of it.
        precision: of its arithmetic.
        spikes: adds a weight for each spike; else multiplies.
        skips: leaves out products with 0.
        rectified: counts of the network with ReLU in place of neurons are priced, not those of the spiking one.
    """

    title: str
    precision: str
    spikes: bool
    skips: bool
    rectified: bool


FORMS = {
    "spiking": Form("spikes", "float32", True, True, False),
    "relu_dense": Form("ReLU, dense", "float32", False, False, True),
    "relu_skipping": Form("ReLU, zeros skipped", "float32", False, True, True),
    "spiking_int8": Form("spikes, int8 weights", "int8", True, True, False),
    "quantised_dense": Form("quantised ANN, dense", "int8", False, False, False),
    "quantised_skipping": Form("quantised ANN, zeros skipped", "int8", False, True, False),
}
CONTROLS = {
    "spiking": ("relu_dense", "relu_skipping"),
    "spiking_int8": ("quantised_dense", "quantised_skipping"),
}


class Work(NamedTuple):
    """Operations of a layer in a form.

    Attributes:
        macs: multiplications with addition.
        acs: additions of a weight for a spike.
        additions: all others, comparisons included.
        multiplications: all others.
    """

    macs: int
    acs: int
    additions: int
    multiplications: int


def work_of(layer: LayerCount, form: Form) -> Work:
    """What a layer does in a form; a layer that reads reals that no neuron made multiplies in every form."""
    macs, acs = layer.macs, 0
    if layer.reads == "spikes" and form.spikes:
        macs, acs = 0, layer.acs
    elif form.skips and not form.spikes:
        macs = layer.event_macs
    # A membrane is compared with its threshold; one that is kept is charged and leaks as well.
    additions = layer.additions + layer.membrane_updates + layer.state_updates
    return Work(macs, acs, additions, layer.multiplications + layer.state_updates)
