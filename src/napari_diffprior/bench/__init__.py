"""Benchmarks on pictures whose truth is known: one file each; ``tasks`` and ``baselines`` are what they share."""
