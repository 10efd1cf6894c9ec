"""Labels that nobody wrote: nearest centroids and random vectors against loops, and what they were learnt on."""
import numpy as np
import pytest
import torch

from sslspk.errors import InputError
from sslspk.nn import labellers
from sslspk.nn.labellers import Labeller


def test_random_projection_is_the_nearest_vector_to_each_frame_of_mean_0_and_deviation_1():
    frames = np.random.default_rng(0).normal(3, 2, (40, 6)).astype(np.float32)
    labeller = Labeller.random(6, 7, 4, "mean_deviation", 1)
    projection, codes = labeller.arrays["projection"], labeller.arrays["codes"]
    assert projection.shape == (4, 6) and codes.shape == (7, 4) and np.allclose(np.linalg.norm(codes, axis=1), 1)
    x = (frames - frames.mean(0)) / frames.std(0)
    for frame, label in zip(x, labeller(frames), strict=True):
        y = projection @ frame
        assert label == np.argmin([np.linalg.norm(y / np.linalg.norm(y) - code) for code in codes])
    same = Labeller.random(6, 7, 4, "mean_deviation", 1).arrays
    assert all((same[name] == labeller.arrays[name]).all() for name in same)
    assert len(set(labeller(frames).tolist())) > 2


def test_clusters_are_found_again_and_do_not_depend_on_a_level():
    rng = np.random.default_rng(1)
    means = rng.normal(size=(3, 5)) * 8
    truth = rng.integers(3, size=300)
    points = (means[truth] + rng.normal(size=(300, 5))).astype(np.float32)
    labeller = Labeller.clusters(points - points.mean(0), 3, "mean", 20, 0)
    found = labeller(points + 100)
    assert found.dtype == np.int32 and len({(a, b) for a, b in zip(truth, found, strict=True)}) == 3
    with pytest.raises(InputError, match="frames of 4 features are not those that the labels were learnt on, 5"):
        labeller(points[:, :4])


def test_normalised_frames():
    x = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0)) * 4 + 2
    for how, deviation in (("mean", 4.0), ("mean_deviation", 1.0)):
        y = labellers.normalised(x, how)
        assert y.mean(1).abs().max() < 1e-5 and abs(float(y.std(1).mean()) - deviation) < 0.1 * deviation
    assert labellers.normalised(x, "none") is x
