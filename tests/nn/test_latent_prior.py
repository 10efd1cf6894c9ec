"""The prior of latent sequences against its equations, step by step."""
import numpy as np
import torch

from sslspk.nn.latent_prior import LatentPrior


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def explicit(prior, noise, labels=None):
    """One recording at a time: the gates of an LSTM by hand (input, forget, cell, output), the sample of each step as the next input."""
    weights = {key: value.detach().double().numpy() for key, value in prior.state_dict().items()}
    means, logs = np.zeros(noise.shape), np.zeros(noise.shape)
    for b in range(len(noise)):
        z, h = np.zeros(noise.shape[2]), np.zeros(weights["cell.weight_hh"].shape[1])
        c = np.zeros_like(h)
        for t in range(noise.shape[1]):
            x = z if labels is None else np.concatenate([z, np.eye(prior.classes)[labels[b, t]]])
            gates = weights["cell.weight_ih"] @ x + weights["cell.bias_ih"] + weights["cell.weight_hh"] @ h + weights["cell.bias_hh"]
            i, f, g, o = np.split(gates, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            means[b, t] = weights["mean.weight"] @ h + weights["mean.bias"]
            logs[b, t] = weights["log_variance.weight"] @ h + weights["log_variance.bias"]
            z = means[b, t] + np.exp(0.5 * logs[b, t]) * noise[b, t]
    return means, logs


def drawn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def test_it_is_the_explicit_loop():
    torch.manual_seed(0)
    prior, noise = LatentPrior(3, 5), drawn(4, 7, 3)
    found, wanted = prior(noise), explicit(prior, noise.double().numpy())
    assert all(np.allclose(a.detach(), b, atol=1e-5) for a, b in zip(found, wanted, strict=True))
    assert sum(p.numel() for p in prior.parameters()) == 4 * 5 * (3 + 5 + 2) + 2 * (5 * 3 + 3)


def test_labels_are_told_frame_by_frame():
    torch.manual_seed(0)
    prior, noise = LatentPrior(3, 5, classes=4), drawn(2, 6, 3)
    labels = torch.randint(4, (2, 6), generator=torch.Generator().manual_seed(1))
    found, wanted = prior(noise, labels), explicit(prior, noise.double().numpy(), labels.numpy())
    assert all(np.allclose(a.detach(), b, atol=1e-5) for a, b in zip(found, wanted, strict=True))
    changed = labels.clone()
    changed[:, 4] = (changed[:, 4] + 1) % 4
    apart = (prior(noise, changed)[0] - found[0]).abs().amax((0, 2))
    assert not apart[:4].any() and apart[4:].all(), "a label changes its own frame and those after it"
