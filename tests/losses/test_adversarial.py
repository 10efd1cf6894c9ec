"""Gradient reversal: what goes forward is untouched, what comes back is turned round."""
import pytest
import torch
from torch.nn import functional as F

from sslspk.losses.adversarial import reverse_gradient


@pytest.mark.parametrize("weight", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_forward_is_the_identity_and_backward_minus_the_weight(weight, dtype):
    x = torch.tensor([[1.0, -2.0], [0.5, 4.0]], dtype=dtype, requires_grad=True)
    y = reverse_gradient(x, weight)
    assert torch.equal(y, x) and y.dtype == dtype
    slopes = torch.tensor([[1.0, 2.0], [-3.0, 0.25]], dtype=dtype)
    (y * slopes).sum().backward()
    assert torch.equal(x.grad, -weight * slopes)


def test_the_discriminator_descends_while_the_encoder_ascends():
    """One loss: the gradient of the layer above is as it would be without the reversal, that of the layer below -3 times it."""
    g = torch.Generator().manual_seed(0)
    x, labels = torch.randn(8, 3, generator=g), torch.randint(0, 2, (8,), generator=g)
    start = torch.randn(3, 4, generator=g), torch.randn(4, 2, generator=g)
    plain, reversed_ = ([w.clone().requires_grad_() for w in start] for _ in range(2))
    F.cross_entropy(torch.tanh(x @ plain[0]) @ plain[1], labels).backward()
    F.cross_entropy(reverse_gradient(torch.tanh(x @ reversed_[0]), 3.0) @ reversed_[1], labels).backward()
    assert torch.equal(reversed_[1].grad, plain[1].grad)
    assert torch.allclose(reversed_[0].grad, -3 * plain[0].grad, rtol=1e-5)


def test_what_goes_in_may_be_used_beside_it():
    """x serves another loss too: y = x reversed twice the weight, 5 x: 5 - 2."""
    x = torch.ones(3, requires_grad=True)
    (5 * x + reverse_gradient(x, 2.0)).sum().backward()
    assert x.grad.tolist() == [3, 3, 3]
