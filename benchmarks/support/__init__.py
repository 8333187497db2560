"""What several benchmarks share: inputs, networks that fire at a given rate, and their peers."""
