"""Forward operators A of a measurement y = A x + noise; one file each."""
