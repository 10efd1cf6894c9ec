"""Statistics, i-vectors and the EM of T: against loops and brute-force Gaussians, a planted subspace, resume, cores."""
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.linalg import block_diag, subspace_angles
from scipy.stats import multivariate_normal

from sslspk.errors import InputError
from sslspk.io import ark
from sslspk.ivector import extractor, frames, gmm, state, stats
from sslspk.ivector import model as tv
from sslspk.ivector.config import IvectorConfig
from sslspk.ivector.gmm import Gmm
from sslspk.ivector.model import TotalVariability

C, D, R = 3, 2, 2
CONFIG = IvectorConfig(num_gaussians=C, top_gaussians=2, min_posterior=0.05, delta_order=0, cmn_window=1000, ivector_dim=R, iterations=4)
UBM = Gmm(np.array([0.5, 0.3, 0.2]), np.array([[0.0, 0], [2, 0], [0, 2]]),
          np.array([[[1, 0.4], [0.4, 1]], [[1, -0.3], [-0.3, 0.5]], [[2, 0], [0, 0.5]]]))


def tiny(seed=0):
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((C, D, D))
    return TotalVariability(rng.standard_normal((C, D, R)), factors @ factors.transpose(0, 2, 1) + np.eye(D), rng.standard_normal((C, D)))


def utterance(model, ubm, counts, rng):
    """Frames (T, D) and the Gaussian that each is of, drawn from the model."""
    w = rng.standard_normal(model.dim)
    owner = np.repeat(np.arange(len(counts)), counts)
    means = ubm.means + model.shift + model.matrix @ w
    return np.stack([rng.multivariate_normal(means[c], model.covariances[c]) for c in owner]), owner


def moments(ubm, x, owner):
    """Counts (C,), first (C, D) and second moments (C, D, D) around the means of the UBM, by loops."""
    n, d = ubm.means.shape
    counts, first, second = np.zeros(n), np.zeros((n, d)), np.zeros((n, d, d))
    for frame, c in zip(x, owner, strict=True):
        counts[c] += 1
        first[c] += frame - ubm.means[c]
        second[c] += np.outer(frame - ubm.means[c], frame - ubm.means[c])
    return counts, first, second


def brute_force(model, ubm, x, owner):
    """Posterior mean and covariance of w, and the log likelihood of the frames, from one joint Gaussian of w and all frames."""
    load = np.concatenate([model.matrix[c] for c in owner])
    mean = np.concatenate([ubm.means[c] + model.shift[c] for c in owner])
    covariance = load @ load.T + block_diag(*(model.covariances[c] for c in owner))
    gain = load.T @ np.linalg.inv(covariance)
    return gain @ (x.ravel() - mean), np.eye(model.dim) - gain @ load, multivariate_normal(mean, covariance).logpdf(x.ravel())


def test_posterior_is_that_of_the_joint_gaussian():
    rng, model = np.random.default_rng(1), tiny()
    drawn = [utterance(model, UBM, counts, rng) for counts in ([4, 2, 3], [1, 0, 0], [0, 5, 9])]
    counts, first, second = (np.stack(parts) for parts in zip(*(moments(UBM, *one) for one in drawn), strict=True))
    expected = [brute_force(model, UBM, *one) for one in drawn]
    np.testing.assert_allclose(tv.ivectors(model, counts, first), [mean for mean, _, _ in expected], atol=1e-10)
    linear = tv.centre(model, counts, first) @ model.projection
    mean, covariance, _ = tv.posterior(model, counts @ model.packed, linear)
    np.testing.assert_allclose(mean, [one for one, _, _ in expected], atol=1e-10)
    np.testing.assert_allclose(covariance, [one for _, one, _ in expected], atol=1e-10)
    sums = tv.Sums(model)
    with ThreadPoolExecutor(1) as pool:
        sums.add(model, counts, first, pool)
    np.testing.assert_allclose(sums.first, first.sum(0) - counts.sum(0)[:, None] * model.shift, atol=1e-10)
    scatter = tv.centred_scatter(model, counts.sum(0), sums.first, second.sum(0))
    np.testing.assert_allclose(tv.log_likelihood(model, sums, counts.sum(0), scatter), sum(one for _, _, one in expected) / counts.sum())


class Held:
    """Statistics in memory, as stats.Statistics gives them."""

    def __init__(self, counts, first, second):
        self.counts, self.first, self.counts_, self.second_ = counts, first, counts.sum(0), second.sum(0)

    def __len__(self):
        return len(self.counts)

    def rows(self, first, last):
        return self.counts[first:last], self.first[first:last]


def planted(utterances=300, seed=5, features=4, rank=2):
    """Statistics of utterances of a model with C Gaussians far apart; the model and its UBM."""
    rng = np.random.default_rng(seed)
    ubm = Gmm(np.full(C, 1 / C), 3 * rng.standard_normal((C, features)), np.tile(np.eye(features), (C, 1, 1)))
    model = TotalVariability(rng.standard_normal((C, features, rank)), np.tile(0.5 * np.eye(features), (C, 1, 1)),
                             0.3 * rng.standard_normal((C, features)))
    drawn = [utterance(model, ubm, rng.integers(5, 15, C), rng) for _ in range(utterances)]
    return model, ubm, Held(*(np.stack(parts) for parts in zip(*(moments(ubm, *one) for one in drawn), strict=True)))


def slow_step(model, held):
    """One EM iteration utterance by utterance, without the tricks: all that is packed or batched is a loop here."""
    precisions = np.linalg.inv(model.covariances)
    weighted, cross = np.zeros((C, model.dim + 1, model.dim + 1)), np.zeros((C, model.matrix.shape[1], model.dim + 1))
    means, seconds = [], []
    for counts, first in zip(held.counts, held.first, strict=True):
        moved = [first[c] - counts[c] * model.shift[c] for c in range(C)]
        precision = np.eye(model.dim) + sum(counts[c] * model.matrix[c].T @ precisions[c] @ model.matrix[c] for c in range(C))
        mean = np.linalg.solve(precision, sum(model.matrix[c].T @ precisions[c] @ moved[c] for c in range(C)))
        second = np.linalg.inv(precision) + np.outer(mean, mean)
        for c in range(C):   # of w with a 1 after it: its column is what m moves by
            weighted[c] += counts[c] * np.block([[second, mean[:, None]], [mean, 1]])
            cross[c] += np.outer(moved[c], [*mean, 1])
        means.append(mean)
        seconds.append(second)
    columns = np.stack([cross[c] @ np.linalg.inv(weighted[c]) for c in range(C)])
    covariances = []
    for c in range(C):
        total, first, shift = held.counts_[c], held.first.sum(0)[c], model.shift[c]
        scatter = held.second_[c] - np.outer(first, shift) - np.outer(shift, first) + total * np.outer(shift, shift)
        covariances.append((scatter - columns[c] @ cross[c].T) / total)
    mean, matrix = np.mean(means, 0), columns[:, :, :-1]
    factor = np.linalg.cholesky(np.mean(seconds, 0) - np.outer(mean, mean))
    return TotalVariability(matrix @ factor, np.stack(covariances), model.shift + columns[:, :, -1] + matrix @ mean)


def test_a_step_is_that_of_the_loops(monkeypatch):
    monkeypatch.setattr(extractor, "BATCH", 32)   # the last batch is shorter
    _, ubm, held = planted(70)
    start = tv.initial(ubm.covariances, 3, 0)
    start = TotalVariability(start.matrix, start.covariances, np.full(start.shift.shape, 0.2))
    with ThreadPoolExecutor(2) as pool:
        found, _ = extractor.step(start, held, np.full(4, 1e-6), pool)
    expected = slow_step(start, held)
    for name in ("matrix", "covariances", "shift"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-8, atol=1e-9)


def test_em_recovers_the_planted_subspace_and_the_likelihood_never_falls(tmp_path):
    model, ubm, held = planted(2000)
    config = CONFIG.model_copy(update={"iterations": 10})
    levels = [level for _, level in extractor.train(tmp_path, held, ubm, config, "k", 2)]
    assert (np.diff(levels) > -1e-9).all() and levels[-1] - levels[0] > 0.1
    _, found, kept, info = extractor.load(tmp_path)
    assert kept == config and info["utterances"] == 2000 and info["labels"] == "none"
    angles = np.degrees(subspace_angles(found.matrix.reshape(-1, R), model.matrix.reshape(-1, R)))
    assert angles.max() < 4, angles
    before = tv.initial(ubm.covariances, R, 0).matrix.reshape(-1, R)
    assert np.degrees(subspace_angles(before, model.matrix.reshape(-1, R))).max() > 30
    np.testing.assert_allclose(found.covariances, model.covariances, atol=0.05)
    # T T' is told by the data, T only up to a rotation.
    np.testing.assert_allclose(*(np.einsum("cdr,cer->cde", one.matrix, one.matrix) for one in (found, model)), atol=0.3)
    np.testing.assert_allclose(found.shift, model.shift, atol=0.15)


def test_minimum_divergence_leaves_i_vectors_standard_normal(tmp_path):
    _, ubm, held = planted(1000)
    list(extractor.train(tmp_path, held, ubm, CONFIG.model_copy(update={"iterations": 15}), "k", 1))
    _, model, *_ = extractor.load(tmp_path)
    mean, covariance, _ = tv.posterior(model, held.counts @ model.packed, tv.centre(model, held.counts, held.first) @ model.projection)
    np.testing.assert_allclose(mean.mean(0), 0, atol=0.01)
    np.testing.assert_allclose(covariance.mean(0) + mean.T @ mean / len(mean), np.eye(R), atol=0.02)


def test_a_gaussian_with_few_frames_keeps_its_part():
    _, ubm, held = planted(40)
    held.counts[:, 2], held.first[:, 2], held.second_[2] = 0.05, 0.01, 0.5 * np.eye(4)
    held.counts_ = held.counts.sum(0)
    start = tv.initial(ubm.covariances, R, 0)
    with ThreadPoolExecutor(1) as pool:
        found, level = extractor.step(start, held, np.full(4, 1e-6), pool)
        _, after = extractor.step(found, held, np.full(4, 1e-6), pool)
    np.testing.assert_array_equal(found.covariances[2], start.covariances[2])
    assert after > level and np.linalg.matrix_rank(np.concatenate([found.matrix[2], start.matrix[2]], 1)) == R   # turned, no more


def test_the_number_of_cores_changes_nothing_and_a_killed_training_goes_on(tmp_path):
    _, ubm, held = planted(60)
    whole = list(extractor.train(tmp_path / "1", held, ubm, CONFIG, "k", 1))
    assert list(extractor.train(tmp_path / "3", held, ubm, CONFIG, "k", 3)) == whole
    killed = extractor.train(tmp_path / "killed", held, ubm, CONFIG, "k", 1)
    begun = [next(killed), next(killed)]
    killed.close()
    with pytest.raises(InputError, match="other options or on other data"):
        next(extractor.train(tmp_path / "killed", held, ubm, CONFIG, "x", 1))
    assert begun + list(extractor.train(tmp_path / "killed", held, ubm, CONFIG, "k", 1)) == whole
    one, *others = (state.load(tmp_path / name / "final.npz") for name in ("1", "3", "killed"))
    assert all(np.array_equal(one[name], other[name]) for other in others for name in one)


def make_specs(folder, lengths, seed=0):
    rng = np.random.default_rng(seed)
    with ark.Writer(folder / "f.ark", folder / "feats.scp") as feats, ark.Writer(folder / "v.ark", folder / "vad.scp") as vad:
        for utt, length in lengths.items():
            feats.write(utt, 2 * rng.standard_normal((length, D)))
            vad.write(utt, np.ones(length))
    return frames.read_specs(folder)


def slow_statistics(x):
    """Counts and moments of one utterance, frame by frame: the two likeliest by the diagonals, shares below 0.05 dropped."""
    counts, first, second = np.zeros(C), np.zeros((C, D)), np.zeros((C, D, D))
    for frame in x:
        rough = [np.log(UBM.weights[c]) + multivariate_normal(UBM.means[c], np.diag(np.diag(UBM.covariances[c]))).logpdf(frame)
                 for c in range(C)]
        best = np.argsort(rough)[-2:]
        share = np.array([UBM.weights[c] * multivariate_normal(UBM.means[c], UBM.covariances[c]).pdf(frame) for c in best])
        share = np.where(share / share.sum() < 0.05, 0, share)
        for c, part in zip(best, share / share.sum(), strict=True):
            moved = frame - UBM.means[c]
            counts[c], first[c], second[c] = counts[c] + part, first[c] + part * moved, second[c] + part * np.outer(moved, moved)
    return counts, first, second


def test_statistics_are_those_of_the_loops_whatever_the_jobs(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "BLOCK", 50)   # several utterances to a block, and several blocks
    specs = make_specs(tmp_path, {"a": 30, "b": 1, "c": 45, "d": 20, "e": 12})
    expected = [slow_statistics(frames.voiced(utt, spec, CONFIG)) for utt, spec in specs.items()]
    counts, first, second = (np.stack(parts) for parts in zip(*expected, strict=True))
    names = list(specs)
    for jobs in ([names], [names[:2], names[2:]], [names[:4], [], names[4:]]):
        for job, part in enumerate(jobs):
            assert stats.write({utt: specs[utt] for utt in part}, UBM, CONFIG, str(tmp_path / f"s{job}"), "ubm") == len(part)
        found = stats.Statistics([str(tmp_path / f"s{job}") for job in range(len(jobs))])
        assert len(found) == 5
        np.testing.assert_allclose(found.counts_, counts.sum(0), atol=1e-10)
        np.testing.assert_allclose(found.second_, second.sum(0), atol=1e-10)
        for begin, end in ((0, 5), (1, 3), (3, 9)):
            rows = found.rows(begin, end)
            np.testing.assert_allclose(rows[0], counts[begin:end], rtol=1e-6, atol=1e-6)   # float32 on disk
            np.testing.assert_allclose(rows[1], first[begin:end], rtol=1e-6, atol=1e-5)


def test_damaged_statistics_are_named(tmp_path):
    specs = make_specs(tmp_path, {"a": 30})
    stats.write(specs, UBM, CONFIG, str(tmp_path / "1"), "ubm")
    path = tmp_path / "1.first.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match=r"1\.first\.npy is not whole"):
        stats.Statistics([str(tmp_path / "1")])
    path.unlink()
    with pytest.raises(InputError, match=r"1\.first\.npy cannot be read"):
        stats.Statistics([str(tmp_path / "1")])
    with pytest.raises(InputError, match=r"2\.npz cannot be read"):
        stats.Statistics([str(tmp_path / "2")])


def test_packed_triangles():
    model = tiny()
    for c in range(C):
        full = model.matrix[c].T @ np.linalg.inv(model.covariances[c]) @ model.matrix[c]
        np.testing.assert_allclose(model.unpack(model.packed[c:c + 1])[0], full, atol=1e-12)
    assert model.packed.shape == (C, R * (R + 1) // 2) and gmm.floored(np.eye(2)[None], np.ones(2)).shape == (1, 2, 2)
