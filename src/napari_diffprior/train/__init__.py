"""Training of a prior from a folder of images; the result is a folder in the diffusers layout."""
