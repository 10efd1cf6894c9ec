"""DINO around its loss: centre after the loss, teacher's average, frozen last layer, gradients, what is saved."""
import copy
import math

import pytest
import torch
from torch import nn

from sslspk.encoders.base import Encoder
from sslspk.methods.base import Batch, Corpus, Progress
from sslspk.methods.config import DinoConfig
from sslspk.methods.config_supervised import SupervisedConfig
from sslspk.methods.dino import Dino, DinoHead
from sslspk.methods.supervised import Supervised


class Mean(Encoder):
    """Mean over time, then a linear layer: small enough to follow by hand."""

    def __init__(self):
        super().__init__(3, 4)
        self.linear = nn.Linear(3, 4)

    def _maps(self, x):
        return x.transpose(1, 2)

    def _embed(self, maps):
        return self.linear(maps.mean(2))


CONFIG = DinoConfig(crops=[{"count": 2, "seconds": 1.0}, {"count": 3, "seconds": 0.5}], out_dim=8, hidden_dim=5, bottleneck_dim=4,
                    centre_momentum=0.9, teacher_momentum=0.5, freeze_last_layer_epochs=1.0)


def make(**changes):
    torch.manual_seed(0)
    return Dino(CONFIG.model_copy(update=changes), Mean, Corpus(6, 0))


def views(seed=1, batch=6):
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(2, batch, 10, 3, generator=g), torch.randn(3, batch, 5, 3, generator=g)]


def batch(views, labels=None):
    size = views[0].shape[1]
    return Batch(views, torch.full((size,), -1) if labels is None else labels, torch.arange(size))


def test_teacher_starts_as_the_student_and_has_no_gradient():
    method = make()
    for a, b in zip(method.student.parameters(), method.teacher.parameters(), strict=True):
        assert torch.equal(a, b) and a.requires_grad and not b.requires_grad


def test_centre_moves_after_the_loss_by_the_teachers_mean():
    method = make()
    x = views()
    with torch.no_grad():
        logits = method.teacher["head"](method.teacher["encoder"](x[0].flatten(0, 1)))
    before = method.centre.clone()
    method(batch(x), Progress(0, 10, 5))
    assert torch.equal(method.centre, before)
    method.after_step(Progress(0, 10, 5))
    assert torch.allclose(method.centre, 0.9 * before + 0.1 * logits.mean(0), atol=1e-7)


def test_centre_of_accumulated_batches_is_their_mean():
    """Two micro-batches and one after_step move the centre as the whole batch would."""
    whole, parts, x = make(), make(), views(batch=6)
    whole(batch(x), Progress(0, 10, 5))
    for half in (slice(0, 3), slice(3, 6)):
        parts(batch([v[:, half] for v in x]), Progress(0, 10, 5))
    whole.after_step(Progress(0, 10, 5))
    parts.after_step(Progress(0, 10, 5))
    assert torch.allclose(whole.centre, parts.centre, atol=1e-7)


def test_teacher_is_a_moving_average_with_rising_momentum():
    method = make()
    with torch.no_grad():
        for p in method.student.parameters():
            p.add_(1.0)
    start = [p.clone() for p in method.teacher.parameters()]
    method(batch(views()), Progress(5, 10, 5))
    method.after_step(Progress(5, 10, 5))
    momentum = 1 + (0.5 - 1) * (1 + math.cos(math.pi * 0.5)) / 2
    for before, teacher, student in zip(start, method.teacher.parameters(), method.student.parameters(), strict=True):
        assert torch.allclose(teacher, momentum * before + (1 - momentum) * student, atol=1e-6)


@pytest.mark.parametrize(("step", "moves"), [(0, False), (4, False), (5, True)])
def test_last_layer_is_frozen_for_the_first_epoch(step, moves):
    method = make()
    before = method.student["head"].prototypes.detach().clone()
    optimizer = torch.optim.Adam(method.parameters(), lr=0.01, weight_decay=0.1)  # decay moves even what has a zero gradient
    method(batch(views()), Progress(step, 10, 5))["loss"].backward()
    method.after_backward(Progress(step, 10, 5))
    optimizer.step()
    assert torch.equal(before, method.student["head"].prototypes) != moves
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in method.student["encoder"].parameters())


def test_teacher_temperature_warms_up():
    method = make(teacher_temp_start=0.02, teacher_temp=0.06, teacher_temp_warmup_epochs=4.0)
    assert [round(method.teacher_temp(Progress(s, 100, 5)), 4) for s in (0, 10, 20, 40)] == [0.02, 0.04, 0.06, 0.06]


def test_teacher_sees_long_views_only():
    method = make()
    short_changed = views()
    short_changed[1] = short_changed[1] + 5
    for x in (views(), short_changed):
        method(batch(x), Progress(0, 10, 5))
    targets = method.teacher["head"](method.teacher["encoder"](views()[0].flatten(0, 1)))
    assert torch.allclose(method.centre_sum / 2, targets.mean(0), atol=1e-6)


def test_loss_is_the_same_as_pair_by_pair_from_the_networks():
    method, x = make(), views()
    loss = method(batch(x), Progress(0, 10, 5))["loss"].item()
    crops = list(x[0]) + list(x[1])
    with torch.no_grad():
        student = [torch.log_softmax(method.student["head"](method.student["encoder"](c)) / 0.1, 1) for c in crops]
        teacher = [torch.softmax((method.teacher["head"](method.teacher["encoder"](c)) - method.centre) / 0.04, 1) for c in crops[:2]]
    terms = [-(q * p).sum(1).mean() for i, q in enumerate(teacher) for j, p in enumerate(student) if i != j]
    assert len(terms) == 8 and loss == pytest.approx(float(sum(terms) / 8), rel=1e-5)


def test_everything_that_must_survive_is_state():
    method = make(centre_init="random")
    method(batch(views()), Progress(0, 10, 5))
    method.after_step(Progress(0, 10, 5))
    other = make()
    other.load_state_dict(copy.deepcopy(method.state_dict()))
    a, b = (m(batch(views(2)), Progress(1, 10, 5))["loss"].item() for m in (method, other))
    assert a == b


@pytest.mark.parametrize("batch_norm", [False, True])
def test_head_layers(batch_norm):
    head = DinoHead(4, CONFIG.model_copy(update={"head_batch_norm": batch_norm}))
    kinds = [type(m).__name__ for m in head.mlp]
    block = ["Linear", "BatchNorm1d", "GELU"] if batch_norm else ["Linear", "GELU"]
    assert kinds == block * 2 + ["Linear"]
    out = head(torch.randn(7, 4))
    assert out.shape == (7, 8) and out.abs().max() <= 1 + 1e-6, "logits are cosines: the gain is 1"


def test_prototype_scale_does_not_matter():
    head, x = DinoHead(4, CONFIG), torch.randn(7, 4)
    before = head(x)
    with torch.no_grad():
        head.prototypes.mul_(3.0)
    assert torch.allclose(head(x), before, atol=1e-6)


def test_supervised_learns_to_name_the_speaker():
    torch.manual_seed(0)
    method = Supervised(SupervisedConfig(crops=[{"count": 1, "seconds": 1.0}], scale=10.0, margin=0.1), Mean, Corpus(6, 3))
    x, labels = torch.randn(1, 6, 10, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    optimizer = torch.optim.Adam(method.parameters(), lr=0.05)
    for _ in range(100):
        out = method(batch([x], labels), Progress(0, 10, 5))
        optimizer.zero_grad()
        out["loss"].backward()
        optimizer.step()
    assert out["accuracy"] == 1.0 and method.labels == "speaker"


def test_prototypes_start_as_said():
    """Normal ones have norm 0.02 sqrt(D), uniform ones, those of a linear layer, sqrt(1 / 3)."""
    for init, norm in (("normal", 0.02 * 64 ** 0.5), ("uniform", (1 / 3) ** 0.5)):
        torch.manual_seed(0)
        head = DinoHead(8, DinoConfig(out_dim=500, hidden_dim=8, bottleneck_dim=64, prototype_init=init))
        assert head.prototypes.norm(dim=1).mean().item() == pytest.approx(norm, rel=0.03)
