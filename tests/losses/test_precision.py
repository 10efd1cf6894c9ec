"""Rows of length 1 in one pass, against F.normalize."""
import pytest
import torch
from torch.nn import functional as F

from sslspk.losses.precision import unit_rows


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_unit_rows_and_their_gradient_are_those_of_normalize(dtype):
    torch.manual_seed(0)
    weight, gradient = torch.randn(50, 7, dtype=dtype) * torch.logspace(-3, 3, 50)[:, None].to(dtype), torch.randn(50, 7)
    one, other = (weight.clone().requires_grad_() for _ in range(2))
    ours, theirs = unit_rows(one), F.normalize(other.to(torch.promote_types(dtype, torch.float32)))
    assert ours.dtype == theirs.dtype
    torch.testing.assert_close(ours, theirs)
    for rows in (ours, theirs):
        rows.backward(gradient.to(rows.dtype))
    torch.testing.assert_close(one.grad, other.grad)
