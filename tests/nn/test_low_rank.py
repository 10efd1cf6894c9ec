"""LoRA against a product written out, alone and in one of three blocks; merged it is the same to the bit."""
import pytest
import torch
from torch import nn

from sslspk.nn import low_rank


def learnt(module, name):
    """Its factors as a training might leave them."""
    part = module.parametrizations[name][0]
    with torch.no_grad():
        for factor in (part.up, part.down):
            factor.copy_(torch.randn(factor.shape, generator=torch.Generator().manual_seed(factor.numel())))
    return part


@pytest.mark.parametrize(("blocks", "parts"), [(1, (0,)), (3, (0, 2)), (3, (1,))])
def test_the_product_by_a_loop(blocks, parts):
    torch.manual_seed(0)
    layer = nn.Linear(5, 6)
    before = layer.weight.detach().clone()
    low_rank.add(layer, "weight", 2, 3.0, blocks, parts)
    assert torch.equal(layer.weight, before), "with U = 0 nothing changes"
    part, rows, expected = learnt(layer, "weight"), 6 // blocks, before.clone()
    for number, block in enumerate(parts):
        for row in range(rows):
            for column in range(5):
                product = sum(part.up[number, row, k] * part.down[number, k, column] for k in range(2))
                expected[block * rows + row, column] += 1.5 * product.item()
    torch.testing.assert_close(layer.weight, expected)
    layer(torch.ones(1, 5)).sum().backward()
    assert layer.parametrizations.weight.original.grad is None and part.up.grad.any() and part.down.grad.any()


@pytest.mark.parametrize(("blocks", "parts"), [(1, (0,)), (3, (0, 2))])
def test_merged_it_is_the_same_to_the_bit(blocks, parts):
    plain, with_it = nn.Sequential(nn.Linear(5, 6)), nn.Sequential(nn.Linear(5, 6))
    low_rank.add(with_it[0], "weight", 2, 3.0, blocks, parts)
    learnt(with_it[0], "weight")
    merged = low_rank.renamed(with_it.state_dict(), plain.state_dict())
    assert merged.keys() == plain.state_dict().keys() and torch.equal(merged["0.weight"], with_it[0].weight)
    back = low_rank.renamed(merged, with_it.state_dict())
    assert back.keys() == with_it.state_dict().keys() and torch.equal(back["0.parametrizations.weight.original"], merged["0.weight"])
    same = low_rank.renamed(with_it.state_dict(), with_it.state_dict())
    assert all(torch.equal(value, same[key]) for key, value in with_it.state_dict().items())
