"""PASE's workers against loops over their definitions, what they are given, what balances their losses, and impossible systems."""
import math

import pytest
import torch

from sslspk.config import check
from sslspk.encoders import build as build_encoder
from sslspk.encoders.config import PaseEncoderConfig
from sslspk.errors import InputError
from sslspk.methods.base import Batch, Corpus, Progress, of_another
from sslspk.methods.config_pase import PaseConfig
from sslspk.methods.pase import Pase
from sslspk.methods.pase_workers import FutureWorker, OrderWorker, PairWorker, RegressionWorker, WaveformWorker
from sslspk.train.config import SystemConfig

START = Progress(0, 10, 2, log=True)
ENCODER = {"channels": (8, 8, 12), "kernels": (21, 20, 17), "strides": (1, 10, 16), "embed_dim": 6}
DIM, STEPS, ROWS, HOP = 6, 50, 5, 160
DECODER = {"name": "cchunk", "channels": [6, 5], "kernels": [8, 20], "strides": [8, 20], "hidden_dim": 4}
ALL = [DECODER, *({"name": name, "hidden_dim": 8, "deltas": name != "lps"} for name in (
    "lps", "lps_long", "fbank", "fbank_long", "gtn", "gtn_long", "mfcc", "mfcc_long", "prosody")),
    {"name": "spc", "hidden_dim": 8}, {"name": "mi", "hidden_dim": 8}, {"name": "cmi", "hidden_dim": 8}]
CROP = {"count": 1, "seconds": 0.5}


def config_of(workers, **options):
    pairs = any(worker["name"] in ("mi", "cmi") for worker in workers)
    return check(PaseConfig, {"workers": workers, "crops": [CROP] * (1 + pairs), **options}, "the test")


def make(workers, seed=0, **options):
    torch.manual_seed(seed)
    return Pase(config_of(workers, **options), lambda: build_encoder(PaseEncoderConfig(**ENCODER), 1), Corpus(ROWS, 0))


def worker_of(kind, options, *args):
    torch.manual_seed(0)
    return kind(config_of([options]).workers[0], DIM, *args).double()


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def voices(rows=ROWS, samples=STEPS * HOP, seed=0):
    """Buzzes of different pitch that come and go, in some noise."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(samples) / 16000
    pitch = 90 + 150 * torch.rand(rows, 1, generator=generator)
    buzz = sum(torch.sin(2 * math.pi * k * pitch * time) / k for k in range(1, 10))
    loud = 0.5 + 0.5 * torch.sin(2 * math.pi * (2 + 3 * torch.rand(rows, 1, generator=generator)) * time)
    return 0.1 * buzz * loud + 0.003 * torch.randn(rows, samples, generator=generator)


def batch(method, rows=ROWS, samples=STEPS * HOP, seed=0):
    views = [torch.stack([voices(rows, samples, seed + 10 * i + v) for v in range(crop.count)]) for i, crop in enumerate(method.crops)]
    return Batch(views, torch.full((rows,), -1), torch.arange(rows))


def head(layers, x):
    """The hidden layer and the linear one, written out."""
    hidden = layers[0].weight @ x + layers[0].bias
    return layers[2].weight @ torch.where(hidden > 0, hidden, layers[1].weight * hidden) + layers[2].bias


@pytest.mark.parametrize(("context", "deltas"), [(1, False), (7, True)])
def test_regression_predicts_the_frames_around_each_step(context, deltas):
    options = {"name": "mfcc", "bins": 3, "hidden_dim": 5, "context": context, "deltas": deltas}
    worker, wave, frames = worker_of(RegressionWorker, options, 16000, HOP, 20), voices(2, 9 * HOP), random(2, 9, DIM)
    features = worker.target(wave).double()
    mean, deviation = features.mean((0, 1)), features.flatten(0, 1).std(0, unbiased=False)
    total, count, size = 0.0, 0, features.shape[2]
    for b in range(2):
        for t in range(9):
            predicted = head(worker.layers, frames[b, t])
            for k in range(context):
                place = t - context // 2 + k
                for f in range(size):
                    wanted = (features[b, place, f] - mean[f]) / deviation[f] if 0 <= place < 9 else 0.0
                    total, count = total + float(predicted[k * size + f].detach() - wanted) ** 2, count + 1
    assert worker(frames, wave).item() == pytest.approx(total / count, rel=1e-4)


def test_features_stay_as_they_are_where_no_statistics_are_wanted():
    worker, wave, frames = worker_of(RegressionWorker, {"name": "mfcc", "bins": 3}, 16000, HOP, 0), voices(2, 9 * HOP), random(2, 9, DIM)
    slow = torch.stack([torch.stack([head(worker.layers, x) for x in row]) for row in frames]) - worker.target(wave)
    assert worker(frames, wave).item() == pytest.approx(slow.square().mean().item(), rel=1e-5)


def test_the_decoder_plays_as_many_samples_as_the_steps_have_and_is_that_of_its_definition():
    worker, frames, wave = worker_of(WaveformWorker, DECODER), random(2, 4, DIM), voices(2, 4 * HOP + 30)
    maps = frames.transpose(1, 2)
    for layer, slope in (worker.layers[:2], worker.layers[2:4]):
        kernel, stride = layer.kernel_size[0], layer.stride[0]
        out = torch.zeros(2, layer.out_channels, (maps.shape[2] - 1) * stride + kernel, dtype=torch.float64)
        for t in range(maps.shape[2]):
            out[:, :, t * stride:t * stride + kernel] += torch.einsum("bc,cdk->bdk", maps[:, :, t], layer.weight.detach())
        cut = (kernel - stride) // 2
        maps = out[:, :, cut:out.shape[2] - cut] + layer.bias[:, None]
        maps = torch.where(maps > 0, maps, slope.weight[:, None] * maps)
    hidden = torch.einsum("dc,bct->bdt", worker.layers[4].weight[:, :, 0], maps) + worker.layers[4].bias[:, None]
    hidden = torch.where(hidden > 0, hidden, worker.layers[5].weight[:, None] * hidden)
    played = torch.einsum("c,bct->bt", worker.layers[6].weight[0, :, 0], hidden) + worker.layers[6].bias
    assert played.shape == (2, 4 * HOP)
    assert worker(frames, wave).item() == pytest.approx(float((played.detach() - wave[:, :4 * HOP]).abs().mean()), rel=1e-6)


def test_the_authors_decoder_and_the_ones_of_others_make_160_samples_of_a_step():
    seed = {"name": "cchunk", "channels": [256, 256, 128, 128, 128, 64], "kernels": [2, 2, 2, 2, 2, 5], "strides": [2, 2, 2, 2, 2, 5]}
    for options in ({"name": "cchunk"}, seed):
        worker = WaveformWorker(config_of([options]).workers[0], DIM)
        assert worker.layers(torch.zeros(1, DIM, 3)).shape == (1, 1, 3 * HOP)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("name", ["mi", "cmi"])
def test_pairs_are_told_step_by_step_or_by_their_means(name, symmetric):
    worker = worker_of(PairWorker, {"name": name, "symmetric": symmetric, "hidden_dim": 5})
    frames, same, other = (random(3, 7, DIM, seed=seed) for seed in range(3))
    losses = []
    for b in range(3):
        a, s, o = (x[b].mean(0, keepdim=True) if name == "cmi" else x[b] for x in (frames, same, other))
        for t in range(len(a)):
            pairs = [(a[t], s[t], 1), (a[t], o[t], 0), *([(s[t], a[t], 1), (s[t], o[t], 0)] if symmetric else [])]
            for left, right, wanted in pairs:
                chance = torch.sigmoid(head(worker.layers, torch.cat([left, right])).detach())
                losses.append(-math.log(float(chance if wanted else 1 - chance)))
    loss, accuracy = worker(frames, same, other)
    assert loss.item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert float(accuracy) == pytest.approx(sum(x < math.log(2) for x in losses) / len(losses), abs=1e-6)


def test_what_comes_after_a_step_is_told_from_what_came_before_it():
    worker = worker_of(OrderWorker, {"name": "spc", "hidden_dim": 5, "length": 3, "gap": 4})
    frames, losses = random(4, 20, DIM), []
    for b in range(4):
        now, *others = worker.places(20, torch.Generator().manual_seed(hash((5, 0, b)) % 2 ** 63)).tolist()
        for shown, wanted in ((others[:3], 1), (others[3:], 0)):
            chance = torch.sigmoid(head(worker.layers, torch.cat([frames[b, t] for t in (now, *shown)])))
            losses.append(-math.log(float(chance if wanted else 1 - chance)))
    assert worker(frames, 5)[0].item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_spc_learns_from_what_has_a_direction_and_from_nothing_else():
    """Frames that rise over time tell what comes after; frames that are alike do not."""
    rising, still = torch.linspace(-1, 1, 20)[:, None].expand(8, 20, DIM).double(), torch.ones(8, 20, DIM).double()
    for frames, low, high in ((rising, 0.0, 0.2), (still, 0.6, 0.8)):
        worker = worker_of(OrderWorker, {"name": "spc", "hidden_dim": 8, "length": 2, "gap": 4})
        optimizer = torch.optim.Adam(worker.parameters(), 0.02)
        for step in range(60):
            loss = worker(frames, step)[0]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert low < loss.item() < high


def test_the_last_steps_are_told_from_those_of_the_other_recordings():
    worker = worker_of(FutureWorker, {"name": "cpc", "context_dim": 7, "steps": 3}).float()
    frames, losses, right = random(4, 11, DIM).float(), [], []
    seen = torch.stack([worker.context(frames[b:b + 1, :8])[0][0, -1] for b in range(4)])
    weight, bias = worker.predictor.weight, worker.predictor.bias
    for b in range(4):
        for k in range(3):
            rows = slice(k * DIM, (k + 1) * DIM)
            predicted = weight[rows] @ seen[b] + bias[rows]
            scores = [math.exp(float(predicted @ frames[j, 8 + k])) for j in range(4)]
            losses.append(-math.log(scores[b] / sum(scores)))
            right.append(max(range(4), key=scores.__getitem__) == b)
    loss, accuracy = worker(frames)
    assert loss.item() == pytest.approx(sum(losses) / 12, rel=1e-5) and float(accuracy) == pytest.approx(sum(right) / 12)
    with pytest.raises(InputError, match=r"a crop has 3 steps, and worker cpc needs 4; leave short"):
        worker(frames[:, :3])
    with pytest.raises(InputError, match=r"at least two utterances"):
        worker(frames[:1])


def test_every_place_of_spc_comes_up_and_leaves_the_gap():
    worker, seen = worker_of(OrderWorker, {"name": "spc", "length": 3, "gap": 4}), set()
    for seed in range(400):
        now, *others = worker.places(17, torch.Generator().manual_seed(seed)).tolist()
        after, before = others[:3], others[3:]
        assert now + 4 < after[0] and after[2] < 17 and before[0] >= 0 and before[2] < now - 4
        assert after == list(range(after[0], after[0] + 3)) and before == list(range(before[0], before[0] + 3))
        seen.add((now, after[0], before[0]))
    assert len({now for now, _, _ in seen}) == 3 and len(seen) == 10   # 7, 8, 9, with 3, 2, 1 places after and 1, 2, 3 before


def test_the_loss_is_the_weighted_sum_and_every_worker_is_logged():
    weights = {"lps": 0.5, "mi": 3.0, "prosody": 0.0}
    method = make([{**worker, "weight": weights.get(worker["name"], 1.0)} for worker in ALL])
    out = method(batch(method), START)
    losses = {key.removeprefix("loss_"): float(value) for key, value in out.items() if key.startswith("loss_")}
    assert set(losses) == {worker["name"] for worker in ALL} and all(value > 0 for value in losses.values())
    assert float(out["loss"]) == pytest.approx(sum(weights.get(name, 1.0) * value for name, value in losses.items()), rel=1e-5)
    assert {"accuracy_mi", "accuracy_cmi", "accuracy_spc", "effective_rank"} < set(out)
    assert all(losses[name] == pytest.approx(math.log(2), abs=0.1) for name in ("mi", "cmi", "spc")), "nothing is known yet"


def test_the_encoder_hears_the_distorted_view_and_the_workers_predict_the_clean_one():
    workers = [DECODER, {"name": "lps", "bins": 257, "hidden_dim": 8}]
    method = make(workers, crops=[{"count": 2, "seconds": 0.5, "layout": "twin"}])
    seen, given = {}, batch(method)
    frames = method.encoder.frames
    method.encoder.frames = lambda x: seen.setdefault("heard", x) is not None and frames(x)
    method.workers["lps"].target.register_forward_hook(lambda module, inputs, output: seen.update(wanted=inputs[0]))
    method(given, START)
    assert torch.equal(seen["heard"], given.views[0][0]) and torch.equal(seen["wanted"], given.views[0][1])
    assert not torch.equal(given.views[0][0], given.views[0][1])


def test_the_other_recording_is_another_one_and_every_other_one_comes_up():
    frames, seen = torch.arange(float(ROWS))[:, None, None].expand(-1, 3, DIM), set()
    for step in range(60):
        other = of_another(frames, torch.Generator().manual_seed(step))[:, 0, 0]
        assert (other != frames[:, 0, 0]).all() and torch.equal(other.sort().values, torch.arange(float(ROWS)))
        seen.add(int(other[0]))
    assert seen == {1, 2, 3, 4}


def shares(**options):
    """Of each worker, the length of its loss's gradient with respect to the encoder's frames, as a share of all of them."""
    method = make([worker for worker in ALL if worker["name"] not in ("spc", "mi", "cmi", "cchunk")], **options)
    with torch.no_grad():
        frames = method.encoder.frames(voices())
    frames.requires_grad_(True)
    lengths = {name: float(torch.autograd.grad(worker(frames, voices()), frames)[0].norm()) for name, worker in method.workers.items()}
    return {name: value / sum(lengths.values()) for name, value in lengths.items()}


def test_what_balances_the_workers_is_that_features_are_standardised():
    """With weights of 1 each worker has its part of the gradient; without statistics the ones with large numbers have most of it."""
    balanced, raw = shares(), shares(statistics_batches=0)
    assert max(balanced.values()) < 4 * min(balanced.values()), balanced
    assert max(raw.values()) > 10 * min(raw.values()), raw


PASE, BIG = {"name": "pase"}, {"encoder": {"name": "pase"}}


@pytest.mark.parametrize(("tree", "said"), [
    ({"method": PASE, "encoder": {"name": "tdnn"}}, "set encoder: {name: pase or cpc}, not tdnn"),
    ({"method": PASE, "encoder": {"name": "pase", "strides": [1, 10, 2, 1, 2, 1, 2, 1]}},
     "makes 160 samples of a step, the encoder a step of 80"),
    ({"method": {**PASE, "workers": []}}, "workers"),
    ({"method": {**PASE, "workers": [{"name": "plp"}]}}, "name"),
    ({"method": {**PASE, "workers": [{"name": "lps"}, {"name": "lps"}], "crops": [CROP]}}, "worker lps is there twice"),
    ({"method": {**PASE, "workers": [{"name": "lps"}]}}, "one crop, since neither mi nor cmi"),
    ({"method": {**PASE, "crops": [CROP]}}, "two crops, for mi and cmi"),
    ({"method": {**PASE, "crops": [CROP, {"count": 1, "seconds": 1.0}]}}, "make their seconds equal"),
    ({"method": {**PASE, "crops": [{"count": 1, "seconds": 0.4}] * 2}}, "0.4 s has 40 steps, method.workers needs 43"),
    ({"method": {**PASE, "workers": [{"name": "lps", "context": 4}], "crops": [CROP]}}, "an odd number, not 4"),
    ({"method": {**PASE, "workers": [{"name": "cchunk", "kernels": [30, 31, 30]}], "crops": [CROP]}}, "even number of samples"),
    ({"method": {**PASE, "workers": [{"name": "cchunk", "strides": [4]}], "crops": [CROP]}}, "3 channels, 3 kernels and 1 strides"),
    ({"method": PASE, "data": {"batch_size": 4}, "train": {"accumulate": 4}}, "raise data.batch_size")])
def test_impossible_systems_are_refused(tree, said):
    with pytest.raises(InputError, match=said) as refused:
        check(SystemConfig, {**BIG, **tree}, "the test")
    assert len(str(refused.value)) <= 160


@pytest.mark.parametrize(("workers", "given", "said"), [
    ([{"name": "spc"}], {"samples": 42 * HOP}, "42 steps, and worker spc needs 43; leave short recordings out"),
    ([{"name": "mi"}], {"rows": 1}, "at least two utterances; raise data.batch_size")])
def test_crops_that_are_too_short_and_batches_of_one_are_refused(workers, given, said):
    method = make(workers)
    with pytest.raises(InputError, match=said):
        method(batch(method, **given), START)


def test_the_convolutional_encoder_of_cpc_has_workers_too():
    tree = {"encoder": {"name": "cpc", "channels": 20, "context": "none", "pooling": "mean"}, "method": PASE}
    assert check(SystemConfig, tree, "the test").waveform
