"""Point spread functions: measured ones made usable, and models of them."""

from .models import gaussian_psf as gaussian_psf
from .reading import PSF as PSF
from .reading import axes_of as axes_of
from .reading import prepare as prepare
from .reading import prepare_psf as prepare_psf
