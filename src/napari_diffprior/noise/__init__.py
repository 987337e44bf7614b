"""Noise models: how a measurement scatters around A x; one file each."""
