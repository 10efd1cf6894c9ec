"""SimCLR, SupCon, GCL, angular prototypes and the Siamese network, each against a slow version from its equation."""
import math

import pytest
import torch
from test_dino import Mean, batch
from torch.nn import functional as F

from sslspk.config import check
from sslspk.errors import InputError
from sslspk.methods.angular import Angular
from sslspk.methods.base import Batch, Corpus, Progress
from sslspk.methods.config import AngularConfig, GclConfig, SiameseConfig, SimclrConfig, SupconConfig
from sslspk.methods.in_batch import InBatch
from sslspk.methods.siamese import Siamese

START = Progress(0, 10, 2, log=True)
PAIR = [{"count": 2, "seconds": 1.0}]


def make(kind, method, **changes):
    torch.manual_seed(0)
    return method(check(kind, {"crops": PAIR, **changes}, "the test"), Mean, Corpus(6, 4))


def views(count=2, size=5, seed=1):
    return [torch.randn(count, size, 10, 3, generator=torch.Generator().manual_seed(seed))]


def cosines(a, b):
    return [[float(F.cosine_similarity(x, y, dim=0)) for y in b] for x in a]


def slow_contrast(z, temperature, affinity):
    """Mean over anchors of the affinity-weighted mean over positives of -log softmax over all others."""
    total, s = 0.0, cosines(z, z)
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        bottom = sum(math.exp(s[i][j] / temperature) for j in others)
        weight = sum(affinity(i, j) for j in others)
        total += sum(affinity(i, j) / weight * -math.log(math.exp(s[i][j] / temperature) / bottom) for j in others)
    return total / len(z)


def embedded(method, x):
    with torch.no_grad():
        return method.network(x[0].flatten(0, 1))


def test_simclr_is_nt_xent():
    method, x = make(SimclrConfig, InBatch, temperature=0.2), views()
    out = method(batch(x), START)
    slow = slow_contrast(embedded(method, x), 0.2, lambda i, j: float(i % 5 == j % 5))
    assert out["loss"].item() == pytest.approx(slow, rel=1e-5) and method.labels == "none"
    assert {"accuracy", "alignment", "uniformity", "effective_rank"} <= set(out)


def test_supcon_attracts_all_views_of_a_speaker():
    method, x, speakers = make(SupconConfig, InBatch, temperature=0.2), views(), [0, 1, 0, 2, 1]
    out = method(batch(x, torch.tensor(speakers)), START)
    slow = slow_contrast(embedded(method, x), 0.2, lambda i, j: float(speakers[i % 5] == speakers[j % 5]))
    assert out["loss"].item() == pytest.approx(slow, rel=1e-5) and method.labels == "speaker"


def test_gcl_weighs_recordings_and_labelled_speakers():
    """Half of four speakers are labelled; w and b start at 1 / temperature and -5, and are learnt."""
    method = make(GclConfig, InBatch, labelled_share=0.5, temperature=0.2, same_recording=1.0, same_speaker=0.3)
    x, speakers, known = views(), [0, 1, 0, 2, 1], method.known.chosen.tolist()
    assert sum(known) == 2 and method.labels == "speaker (50 %)"
    def affinity(i, j):
        a, b = speakers[i % 5], speakers[j % 5]
        return 1.0 if i % 5 == j % 5 else 0.3 if a == b and known[a] else 0.0
    out = method(batch(x, torch.tensor(speakers)), START)
    assert out["loss"].item() == pytest.approx(slow_contrast(embedded(method, x), 0.2, affinity), rel=1e-4)
    out["loss"].backward()
    assert method.scale.grad is not None and method.scale.item() == pytest.approx(5.0) and method.bias.item() == -5.0


def test_two_speakers_at_least_for_partial_labels():
    with pytest.raises(InputError, match=r"15 % of the speakers needs at least 2.*labelled_share"):
        make(GclConfig, InBatch, labelled_share=0.15)


def slow_angular(anchors, others, scale, bias):
    rows = cosines(anchors, others)
    odds = [math.exp(scale * row[i] + bias) / sum(math.exp(scale * c + bias) for c in row) for i, row in enumerate(rows)]
    return -sum(map(math.log, odds)) / len(odds)


def test_angular_prototypical():
    method, x = make(AngularConfig, Angular, crops=[{"count": 2, "seconds": 1.8, "layout": "disjoint"}]), views()
    with torch.no_grad():
        first, second = method.encoder(x[0][0]), method.encoder(x[0][1])
    out = method(batch(x), START)
    assert out["loss"].item() == pytest.approx(slow_angular(first, second, 10.0, -5.0), rel=1e-4)


def test_adversary_learns_while_the_encoder_unlearns():
    """The discriminator's gradient is that of its cross-entropy, the encoder's is that of AP minus alpha times the adversary's."""
    method = make(AngularConfig, Angular, crops=[{"count": 3, "seconds": 1.8, "layout": "triplet"}], adversarial=3.0, hidden_dim=4)
    x = views(3)
    out = method(batch(x), START)
    out["loss"].backward()
    assert out["loss"].item() == pytest.approx(out["loss_angular"].item() + out["loss_discriminator"].item(), rel=1e-6)
    encoder, head = list(method.encoder.parameters()), list(method.discriminator.parameters())
    e = method.encoder(x[0].flatten(0, 1)).unflatten(0, (3, 5))
    ap = torch.stack([torch.log_softmax(10 * F.cosine_similarity(e[0][i], e[2], dim=1) - 5, 0)[i] for i in range(5)]).mean().neg()
    pairs = torch.cat([torch.cat([e[0], e[1]], 1), torch.cat([e[0], e[2]], 1)])
    log_p = torch.log_softmax(method.discriminator(pairs), 1)
    adversary = -torch.cat([log_p[:5, 1], log_p[5:, 0]]).mean()
    assert adversary.item() == pytest.approx(out["loss_discriminator"].item(), rel=1e-4)
    wanted = torch.autograd.grad(ap - 3.0 * adversary, encoder, retain_graph=True)
    for p, g in zip(encoder, wanted, strict=True):
        torch.testing.assert_close(p.grad, g, rtol=1e-4, atol=1e-5)
    for p, g in zip(head, torch.autograd.grad(adversary, head), strict=True):
        torch.testing.assert_close(p.grad, g, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tree", [{"adversarial": 3.0}, {"adversarial": 3.0, "crops": PAIR},
                                  {"crops": [{"count": 3, "seconds": 1.0, "layout": "triplet"}]}])
def test_the_adversary_and_its_crops_belong_together(tree):
    with pytest.raises(InputError, match="needs crops"):
        check(AngularConfig, tree, "the test")


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_siamese_with_and_without_ssreg(weight):
    method, x = make(SiameseConfig, Siamese, hidden_dim=6, out_dim=5, predictor_dim=4, regulariser=weight), views()
    out = method(Batch(x, torch.full((5,), -1), torch.arange(5)), START)
    with torch.no_grad():
        e = method.network.encoder(x[0].flatten(0, 1))
        z = method.last_norm(method.network.projector(e))
        p = method.predictor(z)
    def mean_cosine(a, b):
        return sum(row[i] for i, row in enumerate(cosines(a, b))) / len(a)
    slow = -(mean_cosine(p[:5], z[5:]) + mean_cosine(p[5:], z[:5])) / 2 + weight * (1 - mean_cosine(e[:5], e[5:]))
    assert out["loss"].item() == pytest.approx(slow, rel=1e-5)
