"""Training with labels in doubt: which recordings count, and what the others learn."""
import math

import pytest
import torch
from torch.nn import functional as F

from sslspk.config import check
from sslspk.encoders.base import Encoder
from sslspk.errors import InputError
from sslspk.losses.aam import aam_losses, class_cosines
from sslspk.methods.base import Batch, Corpus, Progress
from sslspk.methods.config_supervised import SupervisedConfig
from sslspk.methods.supervised import Supervised

RECORDINGS, CLASSES, BINS = 6, 3, 4


class Mean(Encoder):
    """The mean over time: an embedding that is known beforehand."""

    def __init__(self):
        super().__init__(BINS, BINS)

    def _maps(self, x):
        return x.transpose(1, 2)

    def _embed(self, maps):
        return maps.mean(2)


def make(**options):
    clean = "relabel" in options or "correct_epochs" in options.get("gate", {})
    crops = [{"count": 1, "seconds": 0.1}] + [{"count": 1, "seconds": 0.1, "clean": True}] * clean
    torch.manual_seed(0)
    method = Supervised(check(SupervisedConfig, {"crops": crops, "scale": 10.0, "margin": 0.1, **options}, "the test"), Mean,
                        Corpus(RECORDINGS, CLASSES))
    with torch.no_grad():
        method.classifier.weight.copy_(torch.eye(4)[:3].repeat_interleave(options.get("sub_centres", 1), 0))
    return method


def batch(clean=None):
    """Recordings 0 to 3 lie on their class's centre, 4 and 5 are labelled wrongly: they lie on centres 1 and 2."""
    x = torch.eye(4)[[0, 1, 2, 0, 1, 2]] + 0.01 * torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 0, 0, 0])
    views = [x[None, :, None].expand(1, 6, 10, 4)]
    if clean is not None:
        views.append(clean[None, :, None].expand(1, 6, 10, 4))
    return Batch(views, labels, torch.arange(6)), x, labels


def losses(method, x, labels):
    return aam_losses(class_cosines(x, method.classifier.weight.detach(), method.config.sub_centres), labels, 10.0, 0.1)


def test_without_a_gate_every_label_counts():
    method = make()
    b, x, labels = batch()
    out = method(b, Progress(0, 10, 2))
    assert out["loss"].item() == pytest.approx(losses(method, x, labels).mean().item(), rel=1e-6)
    assert out["accuracy"] == pytest.approx(4 / 6) and set(out) == {"loss", "accuracy"}


def test_a_fixed_gate_opens_when_it_should():
    method = make(gate={"kind": "fixed", "threshold": 5.0, "start_epochs": 1.0})
    b, x, labels = batch()
    each = losses(method, x, labels)
    assert (each[:4] < 5).all() and (each[4:] > 5).all()
    assert method.before_epoch(None, Progress(0, 10, 2)) == {}
    assert method(b, Progress(0, 10, 2))["loss"].item() == pytest.approx(each.mean().item(), rel=1e-6)
    assert method.before_epoch(None, Progress(2, 10, 2)) == {"gate": 5.0}
    out = method(b, Progress(2, 10, 2))
    assert out["loss"].item() == pytest.approx(each[:4].mean().item(), rel=1e-6) and out["believed"] == pytest.approx(4 / 6)
    torch.testing.assert_close(method.gate.losses, each)


def test_a_dynamic_gate_parts_the_wrong_labels_from_the_right_ones():
    method = make(gate={"start_epochs": 1.0})
    b, x, labels = batch()
    method(b, Progress(0, 10, 2))
    method.before_epoch(None, Progress(2, 10, 2))
    each = losses(method, x, labels)
    assert each[:4].max() < method.gate.threshold < each[4:].min()
    assert method(b, Progress(2, 10, 2))["loss"].item() == pytest.approx(each[:4].mean().item(), rel=1e-6)


def test_a_recording_above_the_gate_learns_what_its_clean_view_shows():
    """5's clean view is nearest to class 2 with a share above a half, 4's is between all classes."""
    gate = {"kind": "fixed", "threshold": 5.0, "start_epochs": 0.0, "correct_epochs": 1.0}
    clean = torch.tensor([[1.0, 0, 0, 0]] * 4 + [[1, 1, 1, 0], [0, 0, 1, 0]])
    b, x, labels = batch(clean)
    method = make(gate=gate)
    method.before_epoch(None, Progress(0, 10, 2))
    before = method(b, Progress(0, 10, 2))
    assert "corrected" not in before and before["loss"].item() == pytest.approx(losses(method, x, labels)[:4].mean().item(), rel=1e-6)
    out = method(b, Progress(2, 10, 2))
    share = F.softmax(F.normalize(clean[4], dim=0)[:3] / 0.1, 0).max()
    assert share < 0.5
    wanted = losses(method, x, torch.tensor([0, 1, 2, 0, 0, 2]))[[0, 1, 2, 3, 5]].mean()
    assert out["loss"].item() == pytest.approx(wanted.item(), rel=1e-6) and out["corrected"] == pytest.approx(1 / 6)
    assert method.encoder.training


def test_a_gate_that_lets_nothing_pass_teaches_nothing():
    method = make(gate={"kind": "fixed", "threshold": 1e-6, "start_epochs": 0.0})
    method.before_epoch(None, Progress(0, 10, 2))
    out = method(batch()[0], Progress(0, 10, 2))
    out["loss"].backward()
    assert out["loss"] == 0 and not method.classifier.weight.grad.any() and math.isfinite(out["accuracy"])


def test_a_recording_learns_what_most_of_its_last_labels_say():
    """Two steps with the clusters, two with the teacher, whose class is that of the clean view: 4 and 5 change when it has the majority."""
    method = make(relabel={"start_epochs": 1.0, "queue": 3, "teacher_momentum": 1.0})
    method.relabelling.classifier.load_state_dict(method.classifier.state_dict())
    clean = torch.eye(4)[[0, 1, 2, 0, 1, 2]]
    b, x, labels = batch(clean)
    renewed = torch.tensor([0, 1, 2, 0, 1, 2])
    for step, learnt in enumerate((labels, labels, labels, renewed)):
        method.before_epoch(None, Progress(step, 10, 2))
        method.relabelling.weights.weight.fill_(1)
        out = method(b, Progress(step, 10, 2))
        assert out["loss"].item() == pytest.approx(losses(method, x, learnt).mean().item(), rel=1e-6), step
        assert out["corrected"] == pytest.approx(float((learnt != labels).float().mean())) and out["believed"] == 1
    assert method.before_epoch(None, Progress(4, 10, 2)) == {"classes": 3.0}


def test_a_recording_counts_as_much_as_its_label_is_likely():
    method = make(relabel={"start_epochs": 1.0, "queue": 3})
    b, x, labels = batch(torch.eye(4)[[0] * 6])
    each = losses(method, x, labels)
    method(b, Progress(0, 10, 2))
    torch.testing.assert_close(method.relabelling.weights.losses, each)
    method.before_epoch(None, Progress(2, 10, 2))
    weight = method.relabelling.weights.weight.clone()
    assert weight[:4].min() > 0.9 and weight[4:].max() < 0.1
    out = method(b, Progress(1, 10, 2))   # the clusters still
    assert out["loss"].item() == pytest.approx(((each * weight).sum() / weight.sum()).item(), rel=1e-5)
    assert out["believed"] == pytest.approx(weight.mean().item())


def test_the_teacher_follows_the_student_and_learns_nothing_itself():
    method = make(relabel={"teacher_momentum": 0.75, "teacher_momentum_end": 0.75})
    before, teacher = method.relabelling.classifier.weight.clone(), method.relabelling
    assert not any(p.requires_grad for p in teacher.parameters()) and method.backbones() == [method.encoder, teacher.encoder]
    with torch.no_grad():
        method.classifier.weight.mul_(3)
    method.after_step(Progress(0, 10, 2))
    torch.testing.assert_close(teacher.classifier.weight, 0.75 * before + 0.25 * method.classifier.weight)


@pytest.mark.parametrize(("options", "said"), [
    ({"relabel": {}}, "relabel needs a clean view"),
    ({"relabel": {}, "gate": {}}, "two ways to doubt labels"),
    ({"gate": {"correct_epochs": 9.0}}, "clean"),
    ({"gate": {"start_epochs": 5.0, "correct_epochs": 2.0}}, "raise correct_epochs"),
    ({"gate": {"kind": "other"}}, "kind"),
])
def test_what_makes_no_sense_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        check(SupervisedConfig, options, "the test")
