"""What encoders compute in training with our layers for CPUs is what they compute with torch's, up to rounding."""
import copy

import pytest
import torch
from small_encoders import CONFIGS, encoder_of, inputs

from sslspk.nn import batch_norm, onednn, sync_batchnorm

WITHOUT = ("cpc-sinc", "dsvae", "dsvae-ridge", "lresnet34-pooled", "lresnet34-affine", "lresnet34-unbiased")   # none of these layers


@pytest.fixture
def ran(monkeypatch):
    """Our layers that have run, small ones too, as on a processor where MKL is slow."""
    seen = set()

    def recorded(function, name):
        def call(*args):
            found = function(*args)
            if found is not False:
                seen.add(name)
            return found
        return call
    monkeypatch.setattr(onednn, "slow_mkl", lambda: True)
    monkeypatch.setattr(onednn, "LEAST_WEIGHTS", 1)
    monkeypatch.setattr(onednn, "_given", recorded(onednn._given, "onednn"))
    monkeypatch.setattr(batch_norm._InBlocks, "apply", recorded(batch_norm._InBlocks.apply, "batch_norm"))
    return seen


@pytest.mark.parametrize("name", CONFIGS)
def test_embeddings_and_gradients_are_those_of_torchs_layers(monkeypatch, ran, name):
    ours = sync_batchnorm.convert(encoder_of(name), torch.device("cpu")).train()
    torchs, x, out = copy.deepcopy(ours), inputs(name, 3, 40), []
    for encoder in (ours, torchs):
        if encoder is torchs:
            assert bool(ran) == (name not in WITHOUT), ran
            for module in (batch_norm, onednn):
                monkeypatch.setattr(module, "eager_cpu", lambda x: False)
        torch.manual_seed(0)
        embedding = encoder(x)
        (embedding * torch.linspace(-1, 1, embedding.numel()).view(embedding.shape)).sum().backward()
        out.append([embedding, *(p.grad for p in encoder.parameters() if p.grad is not None), *encoder.buffers()])
    assert len(out[0]) == len(out[1]) > 2
    for a, b in zip(*out, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * max(1.0, float(b.abs().max())))
