"""The command line: one file for each group of commands."""

from . import bench_prior as bench_prior
from . import benchmarks as benchmarks
from . import check_prior as check_prior
from . import check_sampler as check_sampler
from . import folder as folder
from . import listing as listing
from . import psf_making as psf_making
from . import restoring as restoring
from . import training as training
from .app import app as app
from .app import main as main
from .app import run as run
