"""The solver of systems that are neither symmetric nor positive, beside dense algebra."""

from __future__ import annotations

import pytest
import torch

from napari_diffprior.gmres import gmres


def solve(matrices: torch.Tensor, right: torch.Tensor, iterations: int, **settings: object) -> torch.Tensor:
    directions: list[torch.Tensor] = []

    def system(u: torch.Tensor) -> torch.Tensor:
        directions.append(u)
        return torch.einsum("bij,bj->bi", matrices, u)

    weights = gmres(system, right, iterations, **settings)  # type: ignore[arg-type]
    return sum(weights[:, k, None] * direction for k, direction in enumerate(directions))  # type: ignore[return-value]


@pytest.fixture
def problem() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    matrices = torch.eye(8, dtype=torch.float64) + 0.7 * torch.randn(3, 8, 8, generator=generator, dtype=torch.float64)
    return matrices, torch.randn(3, 8, generator=generator, dtype=torch.float64)


def test_as_many_iterations_as_unknowns_solve_it(problem: tuple[torch.Tensor, torch.Tensor]) -> None:
    matrices, right = problem
    assert (torch.linalg.eigvals(matrices).real < 0).any() and not torch.allclose(matrices, matrices.mT)
    exact = torch.linalg.solve(matrices, right)
    assert torch.allclose(solve(matrices, right, 8), exact, rtol=0, atol=1e-9)
    assert torch.allclose(solve(matrices, right, 12), exact, rtol=0, atol=1e-6)  # the space is exhausted


def test_the_residual_is_the_least_of_the_space_and_never_grows(problem: tuple[torch.Tensor, torch.Tensor]) -> None:
    matrices, right = problem
    last = right.norm(dim=1)
    for count in range(1, 8):
        residual = (right - torch.einsum("bij,bj->bi", matrices, solve(matrices, right, count))).norm(dim=1)
        krylov = torch.stack([torch.linalg.matrix_power(matrices, k) @ right[..., None] for k in range(count)], -1)[:, :, 0]
        least = torch.linalg.lstsq(matrices @ krylov, right[..., None]).solution
        best = (right - (matrices @ krylov @ least)[..., 0]).norm(dim=1)
        assert torch.allclose(residual, best, rtol=1e-6, atol=1e-9)
        assert (residual <= last + 1e-12).all()
        last = residual


def test_a_perfect_preconditioner_needs_one_iteration(problem: tuple[torch.Tensor, torch.Tensor]) -> None:
    matrices, right = problem
    found = solve(matrices, right, 1, precondition=lambda r: torch.linalg.solve(matrices, r))
    assert torch.allclose(found, torch.linalg.solve(matrices, right), rtol=0, atol=1e-9)


def test_samples_do_not_know_of_each_other(problem: tuple[torch.Tensor, torch.Tensor]) -> None:
    matrices, right = problem
    right = right.clone()
    right[0] = 0.0
    together = solve(matrices, right, 4)
    assert together.isfinite().all() and (together[0] == 0).all()
    for one in range(3):
        assert torch.allclose(solve(matrices[one : one + 1], right[one : one + 1], 4)[0], together[one], rtol=0, atol=1e-10)
