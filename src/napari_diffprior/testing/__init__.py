"""Conformance checks for operators, priors and samplers, one's own included.

Each check raises ``AssertionError`` with one sentence when a contract is broken; ``check_sampler`` also measures
how far a sampler is from an exact posterior. Everything is float64 and needs no trained network.
"""

from __future__ import annotations

from .operators import check_operator as check_operator
from .priors import check_prior as check_prior
from .problems import GaussianProblem as GaussianProblem
from .problems import gaussian_problem as gaussian_problem
from .samplers import SamplerReport as SamplerReport
from .samplers import check_manners as check_manners
from .samplers import check_sampler as check_sampler
from .verdict import SamplerFigures as SamplerFigures
from .verdict import measure_sampler as measure_sampler
