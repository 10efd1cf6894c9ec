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
    crops = [{"count": 1, "seconds": 0.1}] + [{"count": 1, "seconds": 0.1, "clean": True}] * ("correct_epochs" in options.get("gate", {}))
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


@pytest.mark.parametrize(("options", "said"), [
    ({"gate": {"correct_epochs": 9.0}}, "clean"),
    ({"gate": {"start_epochs": 5.0, "correct_epochs": 2.0}}, "raise correct_epochs"),
    ({"gate": {"kind": "other"}}, "kind"),
])
def test_what_makes_no_sense_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        check(SupervisedConfig, options, "the test")
