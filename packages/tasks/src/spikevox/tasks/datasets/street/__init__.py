"""Generated streets: what stands in them, the sensor, the sweeps; public names are in :mod:`spikevox.tasks.datasets`."""
