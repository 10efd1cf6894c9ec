"""SDPN around its losses: who sees what, prototypes, the teacher's average, and what happens without the guards against collapse."""
import math

import pytest
import torch
from test_dino import Mean
from torch.nn import functional as F

from sslspk.config import check
from sslspk.errors import InputError
from sslspk.losses.koleo import koleo
from sslspk.methods.base import Batch, Corpus, Progress
from sslspk.methods.config_sdpn import SdpnConfig
from sslspk.methods.sdpn import Sdpn
from sslspk.train.watch import Watch

K, B = 16, 12
CONFIG = SdpnConfig(crops=[{"count": 1, "seconds": 1.0, "clean": True}, {"count": 3, "seconds": 0.5}], prototypes=K, hidden_dim=8,
                    bottleneck_dim=6)
START = Progress(0, 10, 5)


def make(seed=0, **changes):
    torch.manual_seed(seed)
    return Sdpn(CONFIG.model_copy(update=changes), Mean, Corpus(B, 0))


def batch(seed=0, noise=0.3):
    """Every recording has a place of its own, its views lie around it."""
    g = torch.Generator().manual_seed(seed)
    centre = torch.randn(B, 1, 3, generator=g)
    views = [centre + noise * torch.randn(1, B, 10, 3, generator=g), centre + noise * torch.randn(3, B, 5, 3, generator=g)]
    return Batch(views, torch.full((B,), -1), torch.arange(B))


def networks(method, x):
    """What each network makes of the views: the student's embeddings (V, B, D), its cosines (V, B, K), the teacher's (B, K)."""
    unit = F.normalize(method.prototypes, dim=1)
    heard = torch.stack([method.student["encoder"](view) for view in x[1]])
    z = F.normalize(method.student["head"](heard.flatten(0, 1)), dim=1).unflatten(0, (3, B))
    target = F.normalize(method.teacher["head"](method.teacher["encoder"](x[0][0])), dim=1)
    return heard, z @ unit.T, target @ unit.T


def test_the_loss_is_what_the_networks_give():
    method, data = make(me_max=0.7, koleo=0.2), batch()
    out = method(data, START)
    with torch.no_grad():
        heard, student, teacher = networks(method, data.views)
        q = torch.softmax(teacher / 0.1, 1) ** (1 / 0.25)
        q = q / q.sum(1, keepdim=True)
        for _ in range(3):
            q = q / q.sum(0) * B / K
            q = q / q.sum(1, keepdim=True)
        p = torch.softmax(student / 0.1, 2)
        cross = -sum((q * p[v].log()).sum(1).mean() for v in range(3)) / 3
        even = math.log(K) + (p.mean((0, 1)) * p.mean((0, 1)).log()).sum()
        spread = sum(koleo(view) for view in heard)
    assert [out[key].item() for key in ("loss_prototypes", "loss_memax", "loss_koleo")] == pytest.approx(
        [cross.item(), even.item(), spread.item()], rel=1e-4)
    assert out["loss"].item() == pytest.approx((cross + 0.7 * even + 0.2 * spread).item(), rel=1e-4)


def test_the_teacher_sees_the_first_view_only_and_the_student_the_others_only():
    data = batch()
    for changed in (0, 1):
        views = [view + 5 * (i == changed) for i, view in enumerate(data.views)]
        (heard, student, teacher), (heard2, student2, teacher2) = networks(make(), data.views), networks(make(), views)
        assert torch.equal(teacher, teacher2) == bool(changed) and torch.equal(student, student2) == torch.equal(heard, heard2) != changed
        assert make()(data, START)["loss"] != make()(data._replace(views=views), START)["loss"]


def test_prototypes_learn_from_the_student_alone_and_the_teacher_follows():
    method = make(teacher_momentum=0.5)
    before = [p.clone() for p in method.teacher.parameters()]
    with torch.no_grad():
        for p in method.student.parameters():
            p.add_(1.0)
    out = method(batch(), START)
    out["loss"].backward()
    assert method.prototypes.grad.any() and all(p.grad is None for p in method.teacher.parameters())
    method.after_step(Progress(5, 10, 5))
    momentum = 1 - 0.5 * (1 + math.cos(math.pi / 2)) / 2
    for old, p, q in zip(before, method.teacher.parameters(), method.student.parameters(), strict=True):
        torch.testing.assert_close(p, momentum * old + (1 - momentum) * q)


def test_prototypes_start_as_the_authors_and_their_length_does_not_matter():
    method, data = make(), batch()
    assert method.prototypes.abs().max() <= 6 ** -0.5 and method.undecayed() == [method.prototypes]
    loss = method(data, START)["loss"].item()
    with torch.no_grad():
        method.prototypes.mul_(3.0)
    assert method(data, START)["loss"].item() == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("crops", [[{"count": 5, "seconds": 2.0}], [{"count": 2, "seconds": 4.0}, {"count": 4, "seconds": 2.0}]])
def test_crops_of_other_methods_are_refused(crops):
    with pytest.raises(InputError, match="SDPN's teacher sees one view"):
        check(SdpnConfig, {"crops": crops}, "the test")


def test_one_recording_is_told():
    one = [view[:, :1] for view in batch().views]
    with pytest.raises(InputError, match="batch needs at least two utterances"):
        make()(Batch(one, torch.full((1,), -1), torch.arange(1)), START)


def drill(steps=80, seed=0, **changes):
    """What is logged of the last step of a short training at a high rate."""
    method = make(seed, **{"teacher_momentum": 0.9, **changes})
    optimizer = torch.optim.SGD(method.parameters(), lr=0.5, momentum=0.9)
    for step in range(steps):
        progress = Progress(step, steps, 5, log=step == steps - 1)
        out = method(batch(step), progress)
        optimizer.zero_grad()
        out["loss"].backward()
        optimizer.step()
        method.after_step(progress)
    return {key: float(value.detach()) for key, value in out.items()}


@pytest.mark.parametrize("seed", range(2))
def test_without_sinkhorn_and_me_max_one_prototype_does_for_all_and_the_watch_speaks(seed):
    guarded, bare = drill(seed=seed), drill(seed=seed, sinkhorn_iterations=0, me_max=0.0)
    assert Watch(K).collapse(guarded, 2.0) is None and guarded["teacher_information"] > 0.5
    assert "outputs are almost equal for all utterances" in Watch(K).collapse(bare, 2.0) and bare["loss_prototypes"] < 0.1
