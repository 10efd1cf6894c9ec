"""CPC, LIM and GIM around their losses: what predicts what, who is compared with whom, and what each option changes."""
import math

import pytest
import torch

from sslspk.config import check
from sslspk.encoders import build as build_encoder
from sslspk.encoders.config import CpcEncoderConfig
from sslspk.errors import InputError
from sslspk.losses import mutual_information
from sslspk.methods.base import Batch, Corpus, Progress
from sslspk.methods.config_frames import CpcConfig, LimConfig
from sslspk.methods.cpc import Cpc
from sslspk.methods.lim import Lim
from sslspk.train.config import SystemConfig

START = Progress(0, 10, 2, log=True)
CHANNELS, CONTEXT, STEPS, ROWS = 12, 6, 3, 4


def make(kind=Cpc, encoder=None, **options):
    torch.manual_seed(0)
    config = CpcEncoderConfig(**{"channels": CHANNELS, "context_dim": CONTEXT, **(encoder or {})})
    options = {"steps": STEPS, **options} if kind is Cpc else options
    return kind((CpcConfig if kind is Cpc else LimConfig)(**options), lambda: build_encoder(config, 1), Corpus(ROWS, 0))


def batch(rows=ROWS, samples=3200, seed=1):
    waves = torch.randn(1, rows, samples, generator=torch.Generator().manual_seed(seed))
    return Batch([waves], torch.full((rows,), -1), torch.arange(rows))


def slow_loss(method, waves, direction=0, positions=None):
    """Each position's K predictions, one recording, position and step at a time: the mean of -log softmax over recordings."""
    with torch.no_grad():
        z = method.encoder.latents(waves)[direction]
        c = method.encoder.contexts[direction](z[:, :-STEPS])[0]
        layer = method.predictors[direction]
        weight, bias = layer.weight.view(STEPS, CHANNELS, CONTEXT), layer.bias.view(STEPS, CHANNELS)
        losses = []
        for t in positions or [c.shape[1] - 1]:
            for k in range(STEPS):
                predicted = [weight[k] @ c[b, t] + bias[k] for b in range(len(z))]
                for b in range(len(z)):
                    scores = [math.exp(float(z[j, t + 1 + k] @ predicted[b])) for j in range(len(z))]
                    losses.append(-math.log(scores[b] / sum(scores)))
    return sum(losses) / len(losses)


def test_the_last_context_predicts_the_next_steps():
    """20 steps: the context of the first 17 predicts the last three, against the other recordings."""
    method, x = make(), batch()
    out = method(x, START)
    slow = slow_loss(method, x.views[0][0])
    assert out["loss"].item() == pytest.approx(slow, rel=1e-5)
    assert out["bound"].item() == pytest.approx(math.log(ROWS) - slow, abs=1e-5) and 0 <= out["accuracy"] <= 1


def test_every_context_predicts():
    method, x = make(positions="every"), batch()
    assert method(x, START)["loss"].item() == pytest.approx(slow_loss(method, x.views[0][0], positions=range(17)), rel=1e-5)
    assert make()(x, START)["loss"].item() == pytest.approx(slow_loss(method, x.views[0][0], positions=[16]), rel=1e-5)


def test_both_directions_count_alike_and_the_second_one_hears_the_waveform_backwards():
    method, x = make(encoder={"bidirectional": True, "norm": "channel"}), batch()
    forwards, backwards = (slow_loss(method, x.views[0][0], direction) for direction in (0, 1))
    assert method(x, START)["loss"].item() == pytest.approx((forwards + backwards) / 2, rel=1e-5)
    one = make(encoder={"norm": "channel"})
    one.encoder.layers.load_state_dict(method.encoder.layers.state_dict())
    one.encoder.contexts[0].load_state_dict(method.encoder.contexts[1].state_dict())
    one.predictors[0].load_state_dict(method.predictors[1].state_dict())
    assert slow_loss(one, x.views[0][0].flip(1)) == pytest.approx(backwards, rel=1e-6)


def test_a_context_knows_nothing_of_what_it_predicts():
    """No prediction depends on samples that only the predicted steps see."""
    method, x = make(encoder={"norm": "channel", "peak": False}), batch()
    waves = x.views[0][0].clone().requires_grad_(True)
    method.encoder.context([z[:, :-STEPS] for z in method.encoder.latents(waves)])[0].sum().backward()
    seen = 1 + 9 + 7 * 5 + 3 * 20 + 3 * 40 + 3 * 80        # samples under a step, of which the padding puts 152 before its place
    last = 16 * 160 - 152 + seen
    assert waves.grad[:, last:].eq(0).all() and waves.grad[:, last - 1].ne(0).any()


def test_the_softmax_axis_changes_who_is_normalised_over():
    """A bias of the scores towards one future hurts the softmax over futures; the one over contexts cannot see it."""
    method, other, x = make(), make(softmax="contexts"), batch()
    with torch.no_grad():   # the prediction is the same for every context: scores depend on the future alone
        for one in (method, other):
            one.predictors[0].weight.zero_()
            one.predictors[0].bias.fill_(1.0)
    assert other(x, START)["loss"].item() == pytest.approx(math.log(ROWS), abs=1e-5)
    assert method(x, START)["loss"].item() > math.log(ROWS) + 0.01


def test_negatives_anywhere_hold_steps_of_the_own_recording():
    """In batches of one recording, played for everyone, in-batch negatives are the future itself; other steps differ from it."""
    one = batch(rows=1).views[0][0].expand(ROWS, -1)
    x = Batch([one[None]], torch.full((ROWS,), -1), torch.arange(ROWS))
    same, elsewhere = make(), make(negatives="anywhere", num_negatives=7)
    assert same(x, START)["loss"].item() == pytest.approx(math.log(ROWS), abs=1e-5)
    out = elsewhere(x, START)
    assert out["loss"].item() != pytest.approx(math.log(8), abs=1e-4)
    assert out["bound"].item() == pytest.approx(math.log(8) - out["loss"].item(), abs=1e-5), "seven negatives and the future"
    alone = elsewhere(batch(rows=1), START)   # a batch of one recording has other steps
    assert alone["loss"].isfinite()


def test_negatives_anywhere_are_drawn_anew_in_each_step_and_the_same_again_on_a_resume():
    method, x = make(negatives="anywhere", num_negatives=7), batch()
    first, again, later = (method(x, Progress(step, 10, 2))["loss"].item() for step in (0, 0, 1))
    assert first == again != later


def test_a_mean_over_channels_is_the_sum_divided_by_them():
    method, other, x = make(bias=False), make(bias=False, score="mean"), batch()
    with torch.no_grad():
        other.predictors[0].weight.mul_(CHANNELS)
    assert method(x, START)["loss"].item() == pytest.approx(other(x, START)["loss"].item(), rel=1e-6)
    assert make(score="mean")(x, START)["loss"].item() != pytest.approx(make()(x, START)["loss"].item(), rel=1e-4)


def test_transformers_predict_from_all_contexts_so_far():
    method = make(encoder={"channels": 8, "context_dim": 8, "norm": "channel"}, predictor="transformer", positions="every").eval()
    x = batch()
    z = method.encoder.latents(x.views[0][0])[0]
    contexts = method.encoder.context([z[:, :-STEPS]])[0]
    predictions = method.predictors[0](contexts).unflatten(-1, (STEPS, -1))
    losses = [-(predictions[b, t, k] @ z[:, t + 1 + k].T).log_softmax(0)[b] for b in range(ROWS) for t in range(17) for k in range(STEPS)]
    assert method(x, START)["loss"].item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)
    last = make(encoder={"channels": 8, "context_dim": 8, "norm": "channel"}, predictor="transformer").eval()
    at_end = [-(predictions[b, 16, k] @ z[:, 17 + k].T).log_softmax(0)[b] for b in range(ROWS) for k in range(STEPS)]
    assert last(x, START)["loss"].item() == pytest.approx(torch.stack(at_end).mean().item(), rel=1e-5)


def test_dropout_of_transformers_is_a_choice_and_each_pass_and_direction_draws_its_own():
    encoder, x = {"channels": 8, "context_dim": 8, "norm": "channel", "bidirectional": True}, batch()
    method, plain = (make(encoder=encoder, predictor="transformer", predictor_dropout=share) for share in (0.5, 0.0))
    method.predictors[1].load_state_dict(method.predictors[0].state_dict())
    first, again, later = (method(x, Progress(step, 10, 2))["loss"].item() for step in (0, 0, 1))
    assert first == again != later
    assert plain(x, START)["loss"].item() == pytest.approx(plain.eval()(x, START)["loss"].item(), rel=1e-5)
    steps = torch.randn(ROWS, 5, 8)
    one, other = (method.predictors[i](steps, START.draw, i) for i in range(2))
    assert not torch.equal(one, other)
    seen = []
    for predictor in method.predictors:
        predictor.forward = lambda x, number, purpose: (seen.append((number, purpose)), x.repeat(1, 1, STEPS))[1]
    method(x, Progress(3, 10, 2))
    assert seen == [(3, 0), (3, 1)]


def test_transformers_have_no_bias_to_choose_and_a_size():
    encoder = {"channels": 8, "context_dim": 8, "norm": "channel"}
    method = make(encoder=encoder, predictor="transformer", predictor_dim=5)
    assert method.predictors[0].layers[0].inner.weight.shape == (5, 8) and method.config.bias is None
    assert make(encoder=encoder, predictor="transformer", bias=True).config.bias is None, "as configurations held it before"
    assert make().config.bias is True


def test_steps_and_bias_are_what_the_predictors_are_made_of():
    assert make().predictors[0].weight.shape == (STEPS * CHANNELS, CONTEXT) and make(bias=False).predictors[0].bias is None
    assert make(steps=5).predictors[0].weight.shape == (5 * CHANNELS, CONTEXT)


def test_the_bound_of_a_perfect_encoder_is_log_n():
    method, x = make(), batch()
    with torch.no_grad():
        method.encoder.latents = lambda waves: [torch.eye(ROWS, CHANNELS)[:, None].expand(-1, 20, -1)]
        method.encoder.context = lambda steps: [torch.eye(ROWS, CONTEXT)[:, None].expand(-1, 17, -1)]
        method.predictors[0].weight.copy_(100 * torch.eye(CHANNELS, CONTEXT).repeat(STEPS, 1))
        method.predictors[0].bias.zero_()
    out = method(x, Progress(0, 10, 2))
    assert out["bound"].item() == pytest.approx(math.log(ROWS), abs=1e-6) and out["accuracy"] == 1


@pytest.mark.parametrize(("method", "x", "said"), [
    (lambda: make(), batch(samples=480), "480 samples has 3 steps, and method.steps is 3; leave short recordings out with data.min_s"),
    (lambda: make(), batch(rows=1), "at least two utterances; raise data.batch_size"),
    (lambda: make(Lim), batch(rows=1), "at least two utterances; raise data.batch_size"),
    (lambda: make(Lim, context_length=9), batch(samples=800), "5 steps, and method.context_length is 9; leave short recordings out")])
def test_what_cannot_be_compared_is_refused(method, x, said):
    with pytest.raises(InputError, match=said) as refused:
        method()(x, START)
    assert len(str(refused.value)) <= 160


class Ramp(torch.nn.Module):
    """Frame t of recording b is (b, t): every part says where it comes from."""

    embed_dim, input = 2, "wave"

    def frames(self, waves):
        recording = torch.arange(float(len(waves)))[:, None].expand(-1, 10)
        return torch.stack([recording, torch.arange(10.0).expand(len(waves), -1)], -1)


@pytest.mark.parametrize("length", [1, 4])
def test_parts_of_a_recording_and_of_another_one(length):
    torch.manual_seed(0)
    method = Lim(LimConfig(context_length=length), Ramp, Corpus(6, 0))
    seen, whole = set(), torch.arange(6.0)
    for step in range(60):
        first, second, other = method._parts(method.encoder.frames(torch.zeros(6, 1)), Progress(step, 100, 10))
        assert torch.equal(first[:, 0], whole) and torch.equal(second[:, 0], whole)
        assert (other[:, 0] != whole).all() and torch.equal(other[:, 0].sort().values, whole)
        for part in (first, second, other):   # the mean place of `length` steps in a row
            assert ((part[:, 1] >= (length - 1) / 2) & (part[:, 1] <= 9 - (length - 1) / 2)).all()
        seen |= set(first[:, 1].tolist())
        assert not torch.equal(first[:, 1], second[:, 1])
    assert len(seen) == 11 - length, "every place comes up"


@pytest.mark.parametrize("objective", ["bce", "nce", "mine"])
def test_lim_scores_pairs_against_non_pairs(objective):
    method, x = make(Lim, objective=objective, hidden_dim=8), batch()
    out = method(x, START)
    first, second, other = method._parts(method.encoder.frames(x.views[0][0]), START)
    def score(a, b):
        hidden = torch.relu(method.discriminator[0](torch.cat([a, b], 1)))
        return (hidden @ method.discriminator[2].weight[0] + method.discriminator[2].bias)
    positive, negative = score(first, second), score(first, other)
    loss = {"bce": mutual_information.bce, "nce": mutual_information.nce, "mine": mutual_information.mine}[objective](positive, negative)
    assert out["loss"].item() == pytest.approx(loss.item(), rel=1e-5)
    assert out["accuracy"].item() == (positive > negative).float().mean().item()
    bound = {"nce": math.log(ROWS + 1) - loss.item(), "mine": -loss.item()}.get(objective)
    assert out.get("bound") is None if bound is None else out["bound"].item() == pytest.approx(bound, abs=1e-5)


def test_gim_compares_means_and_so_hears_less_of_a_single_step():
    """The same frames, the same places: only the length of a part differs, and with it the loss."""
    x = batch()
    assert make(Lim)(x, START)["loss"].item() != pytest.approx(make(Lim, context_length=8)(x, START)["loss"].item(), rel=1e-5)


CPC = {"name": "cpc", "channels": 12, "context_dim": 6}


@pytest.mark.parametrize(("tree", "said"), [
    ({"method": {"name": "cpc"}, "encoder": {"name": "tdnn"}}, "set encoder: {name: cpc}, not tdnn"),
    ({"method": {"name": "lim"}, "encoder": {"name": "ecapa"}}, "set encoder: {name: cpc or pase}, not ecapa"),
    ({"method": {"name": "cpc"}, "data": {"input": "feats"}}, "reads waveforms.*data.input=wave"),
    ({"method": {"name": "cpc"}, "augment": {"specaug": {}}}, "augment.specaug masks features"),
    ({"method": {"name": "cpc"}, "features": {"sample_frequency": 8000}}, "encoder.rate is 16000 and features.sample_frequency 8000"),
    ({"method": {"name": "cpc"}, "encoder": {**CPC, "context": "none", "pooling": "mean"}}, "encoder.context: gru or lstm"),
    ({"method": {"name": "cpc", "crops": [{"count": 1, "seconds": 0.1}]}}, "0.1 s has 10 steps, method.steps needs 13"),
    ({"method": {"name": "lim", "context_length": 200}}, "128 steps, method.context_length needs 200"),
    ({"method": {"name": "cpc", "crops": [{"count": 2, "seconds": 1.28}]}}, "within one crop of each utterance"),
    ({"method": {"name": "cpc", "negatives": "anywhere", "softmax": "contexts"}}, "softmax: futures, or negatives: batch"),
    ({"method": {"name": "cpc", "predictor": "transformer"}}, "encoder.context_dim equal to encoder.channels"),
    ({"method": {"name": "cpc", "predictor": "transformer", "bias": False}}, "method.bias: is of predictor: linear"),
    ({"method": {"name": "cpc", "bias": None}}, "method.bias: is of predictor: linear"),
    ({"method": {"name": "lim"}, "data": {"batch_size": 4}, "train": {"accumulate": 4}}, "raise data.batch_size")])
def test_impossible_systems_are_refused(tree, said):
    with pytest.raises(InputError, match=said) as refused:
        check(SystemConfig, {"encoder": CPC, **tree}, "the test")
    assert len(str(refused.value)) <= 160


def test_other_methods_may_read_waveforms_too():
    config = check(SystemConfig, {"encoder": CPC, "method": {"name": "simclr"}}, "the test")
    assert config.waveform and config.num_features == 1
