"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2024, "SOAP: Improving and Stabilizing Shampoo
using Adam").

The gradient of a matrix is turned into the eigenvectors of the running covariances of its rows and of its columns.
There the entries vary far more independently than among the weights themselves, so that Adam's scaling of each entry
fits. A step of the codec takes about a quarter longer; benchmarks/results/training.json says what it gave beside AdamW.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

# A side of a matrix longer than this keeps its own basis: the turning would cost more than the step itself.
LONGEST_TURNED_SIDE = 256
# Kernels of depthwise convolutions and rows of biases are no matrices that mix anything: Adam suits them.
SHORTEST_TURNED_SIDE = 16
COVARIANCE_EVERY = 2
BASIS_EVERY = 20


class Soap(torch.optim.Optimizer):
    """SOAP for matrices and kernels (a kernel counts as a matrix of outputs by inputs x taps), Adam for all else.

    Args:
        params: parameters, or groups of them.
        lr: step size, of the order that suits Adam.
        betas: decay of the mean gradient, and of squares and covariances.
        eps: added to the root of the squares.
        weight_decay: decoupled, as in AdamW.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One update of all parameters that have a gradient; `closure` is not used."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad.float(), group)

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, (mean_decay, square_decay) = self.state[parameter], group["betas"]
        matrix = gradient.flatten(1) if gradient.ndim > 1 else gradient[:, None]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["mean"], state["square"] = torch.zeros_like(matrix), torch.zeros_like(matrix)
            if _mixes(parameter):
                # The first gradient only says how to turn those that follow.
                _begin_bases(state, matrix, 1.0 - square_decay)
                return
        state["step"] += 1
        count = int(state["step"])
        mean, square = state["mean"], state["square"]
        turned = _turn(state, matrix)
        mean.lerp_(turned, 1.0 - mean_decay)
        square.mul_(square_decay).addcmul_(turned, turned, value=1.0 - square_decay)
        scale = (square / (1.0 - square_decay**count)).sqrt_().add_(group["eps"])
        parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
        step = _turn_back(state, mean / scale).view_as(parameter)
        parameter.add_(step, alpha=-group["lr"] / (1.0 - mean_decay**count))
        if count % COVARIANCE_EVERY == 0:
            _observe(state, matrix, 1.0 - square_decay**COVARIANCE_EVERY)
        if count % BASIS_EVERY == 0:
            _renew_bases(state)


def _mixes(parameter: Tensor) -> bool:
    """Whether a parameter is a matrix, or a kernel that mixes channels, large enough to be worth turning."""
    if parameter.ndim < 2 or (parameter.ndim > 2 and parameter.shape[1] == 1):
        return False
    return min(len(parameter), parameter[0].numel()) >= SHORTEST_TURNED_SIDE


def _begin_bases(state: dict[str, Tensor], matrix: Tensor, weight: float) -> None:
    """Covariances and bases of the sides that are short enough."""
    if matrix.shape[0] <= LONGEST_TURNED_SIDE:
        state["rows"] = matrix @ matrix.T * weight
        state["row_basis"] = _eigenvectors(state["rows"])
    if matrix.shape[1] <= LONGEST_TURNED_SIDE:
        state["columns"] = matrix.T @ matrix * weight
        state["column_basis"] = _eigenvectors(state["columns"])


def _eigenvectors(covariance: Tensor) -> Tensor:
    """Orthonormal columns, those of the largest eigenvalues first."""
    scaled = covariance.double() / covariance.diagonal().sum().clamp_min(1e-30)
    # Channels that are silent make it singular, which the solver does not always survive.
    scaled.diagonal().add_(1e-9)
    return torch.linalg.eigh(scaled)[1].flip(1).to(covariance.dtype)


def _turn(state: dict[str, Tensor], matrix: Tensor) -> Tensor:
    """From the basis of the weights into that of the covariances."""
    if "row_basis" in state:
        matrix = state["row_basis"].T @ matrix
    return matrix @ state["column_basis"] if "column_basis" in state else matrix


def _turn_back(state: dict[str, Tensor], matrix: Tensor) -> Tensor:
    if "row_basis" in state:
        matrix = state["row_basis"] @ matrix
    return matrix @ state["column_basis"].T if "column_basis" in state else matrix


def _observe(state: dict[str, Tensor], matrix: Tensor, weight: float) -> None:
    """Mix the covariances of a gradient into the running ones."""
    if "rows" in state:
        state["rows"].mul_(1.0 - weight).addmm_(matrix, matrix.T, alpha=weight)
    if "columns" in state:
        state["columns"].mul_(1.0 - weight).addmm_(matrix.T, matrix, alpha=weight)


def _renew_bases(state: dict[str, Tensor]) -> None:
    """One step of the power iteration from the old bases; the mean is carried over, the squares keep their order."""
    mean, square = _turn_back(state, state["mean"]), state["square"]
    for dimension, name in enumerate(("row", "column")):
        if f"{name}_basis" not in state:
            continue
        basis = state[f"{name}_basis"]
        image = state[f"{name}s"] @ basis
        order = (basis * image).sum(dim=0).argsort(descending=True)
        square.copy_(square.index_select(dimension, order))
        state[f"{name}_basis"] = torch.linalg.qr(image[:, order])[0]
    state["mean"] = _turn(state, mean)
