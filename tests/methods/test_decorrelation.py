"""VICReg, Barlow Twins, BYOL and the regularisers of DINO and SDPN, against their losses written out from the networks."""
import math

import numpy as np
import pytest
import torch
from test_dino import Mean
from test_dino import make as make_dino
from test_dino import views as dino_views
from torch.nn import functional as F

from sslspk.errors import InputError
from sslspk.losses.dimension import off_diagonal, variance_hinge
from sslspk.methods.base import Batch, Corpus, Progress
from sslspk.methods.byol import Byol
from sslspk.methods.config_pairs import BarlowTwinsConfig, ByolConfig, VicregConfig
from sslspk.methods.config_regularise import DimensionConfig, RdinoConfig
from sslspk.methods.decorrelation import Decorrelation
from sslspk.methods.regularise import Regulariser
from sslspk.train.watch import Watch

START, B = Progress(0, 10, 5), 7
PROJECTION = {"hidden_dim": 6, "out_dim": 5, "layers": 3}


def make(kind, config):
    torch.manual_seed(0)
    return kind(config, Mean, Corpus(B, 0))


def batch(count=B):
    x = torch.randn(2, count, 10, 3, generator=torch.Generator().manual_seed(1))
    return Batch([x], torch.full((count,), -1), torch.arange(count))


def test_vicreg_is_the_sum_of_its_terms():
    method = make(Decorrelation, VicregConfig(projection=PROJECTION, invariance=3.0, variance=2.0, covariance=0.5))
    out = method(batch(), START)
    with torch.no_grad():
        a, b = method.network(batch().views[0].flatten(0, 1)).double().chunk(2)
    cov = [np.cov(z.numpy().T) for z in (a, b)]
    wanted = {"loss_invariance": float((a - b).square().mean()),
              "loss_variance": sum(np.maximum(0, 1 - np.sqrt(np.diag(c) + 1e-4)).mean() for c in cov),
              "loss_covariance": sum((c ** 2).sum() - (np.diag(c) ** 2).sum() for c in cov) / 5}
    assert {key: out[key].item() for key in wanted} == pytest.approx(wanted, rel=1e-4)
    assert out["loss"].item() == pytest.approx(np.dot([3.0, 2.0, 0.5], list(wanted.values())), rel=1e-4)


def test_barlow_twins_is_the_sum_of_its_terms():
    method = make(Decorrelation, BarlowTwinsConfig(projection=PROJECTION, redundancy=0.1))
    out = method(batch(), START)
    with torch.no_grad():
        a, b = method.network(batch().views[0].flatten(0, 1)).double().chunk(2)
        a, b = ((z - z.mean(0)) / torch.sqrt(z.var(0, unbiased=False) + 1e-5) for z in (a, b))
    c = (a.T @ b / B).numpy()
    on, off = ((1 - np.diag(c)) ** 2).sum(), (c ** 2).sum() - (np.diag(c) ** 2).sum()
    assert [out["loss_invariance"].item(), out["loss_redundancy"].item()] == pytest.approx([on, off], rel=1e-4)
    assert out["loss"].item() == pytest.approx(on + 0.1 * off, rel=1e-4)


def test_byol_predicts_the_teachers_projection_of_the_other_view():
    method, data = make(Byol, ByolConfig(projection=PROJECTION, predictor_dim=4, teacher_momentum=0.5)), batch()
    with torch.no_grad():
        for p in method.student.parameters():
            p.add_(0.3)
    out = method(data, START)
    out["loss"].backward()
    with torch.no_grad():
        p1, p2 = (F.normalize(x) for x in method.predictor(method.student(data.views[0].flatten(0, 1))).chunk(2))
        z1, z2 = (F.normalize(x) for x in method.teacher(data.views[0].flatten(0, 1)).chunk(2))
    wanted = ((p1 - z2).square().sum(1) + (p2 - z1).square().sum(1)).mean()
    assert out["loss"].item() == pytest.approx(wanted.item(), rel=1e-4)
    assert all(p.grad is None for p in method.teacher.parameters())
    before = [p.clone() for p in method.teacher.parameters()]
    method.after_step(START)
    for old, p, q in zip(before, method.teacher.parameters(), method.student.parameters(), strict=True):
        torch.testing.assert_close(p, (old + q) / 2)


def drill(kind, config, change=lambda method: None, steps=150, lr=0.3):
    """What is logged of the last step of a short training: twelve recordings, each a place of its own with its views around it."""
    method, centre = make(kind, config), torch.randn(1, 12, 1, 3, generator=torch.Generator().manual_seed(5))
    change(method)
    optimizer = torch.optim.SGD(method.parameters(), lr=lr, momentum=0.9)
    for step in range(steps):
        x = centre + 0.3 * torch.randn(2, 12, 10, 3, generator=torch.Generator().manual_seed(step))
        progress = Progress(step, steps, 5, log=step == steps - 1)
        out = method(Batch([x], torch.full((12,), -1), torch.arange(12)), progress)
        optimizer.zero_grad()
        out["loss"].backward()
        torch.nn.utils.clip_grad_norm_(method.parameters(), 1.0)
        optimizer.step()
        method.after_step(progress)
    return {key: float(value.detach()) for key, value in out.items()}


def test_vicreg_without_variance_and_covariance_makes_all_one_and_the_watch_speaks():
    config = VicregConfig(projection={"hidden_dim": 16, "out_dim": 8})
    assert Watch(None).collapse(drill(Decorrelation, config), 2.0) is None
    bare = drill(Decorrelation, config.model_copy(update={"variance": 0.0, "covariance": 0.0}))
    assert "almost equal" in Watch(None).collapse(bare, 2.0) and bare["loss"] < 0.01 and bare["loss_variance"] > 1.9


def test_byol_without_predictor_and_slow_teacher_makes_all_one_and_the_watch_speaks():
    """The stopped gradient alone holds nothing back; with the predictor it does (Chen & He 2021)."""
    config = ByolConfig(projection={"hidden_dim": 16, "out_dim": 8}, predictor_dim=16, teacher_momentum=0.0, teacher_momentum_end=0.0)
    assert Watch(None).collapse(drill(Byol, config, steps=250, lr=3.0), 2.0) is None

    def without(method):
        method.predictor = torch.nn.Identity()
    assert "almost equal" in Watch(None).collapse(drill(Byol, config, without, steps=250, lr=3.0), 2.0)


def embeddings():
    return torch.randn(2, B, 4, generator=torch.Generator().manual_seed(3)) * torch.tensor([1.0, 0.2, 2.0, 0.5])


@pytest.mark.parametrize("of", ["covariance", "correlation"])
@pytest.mark.parametrize("name", ["off_diagonal", "frobenius"])
def test_dimension_regularisation_of_each_view(name, of):
    added, terms = Regulariser(DimensionConfig(name=name, of=of, weight=0.1), 4)(embeddings(), START)
    matrices = [(np.cov if of == "covariance" else np.corrcoef)(view.numpy().T) for view in embeddings()]
    wanted = np.mean([((c - np.diag(np.diag(c))) ** 2).sum() / 4 if name == "off_diagonal" else ((c - np.eye(4)) ** 2).sum()
                      for c in matrices])
    assert terms[f"loss_{name}"].item() == pytest.approx(wanted, rel=1e-3) and added.item() == pytest.approx(0.1 * wanted, rel=1e-3)


@pytest.mark.parametrize(("epochs", "weight"), [(0, 0.05), (5, 0.125), (10, 0.2), (20, 0.2)])
def test_rdinos_regulariser_grows(epochs, weight):
    torch.manual_seed(0)
    regulariser = Regulariser(RdinoConfig(expander=PROJECTION, variance=10.0, covariance=2.0), 4)
    added, terms = regulariser(embeddings(), Progress(epochs, 100, 1))
    with torch.no_grad():
        seen = regulariser.expander(embeddings().flatten(0, 1)).chunk(2)
    variance = sum(variance_hinge(x) for x in seen) / 2
    redundancy = sum(off_diagonal(torch.cov(x.T)) for x in seen) / 2
    assert [terms["loss_variance"].item(), terms["loss_covariance"].item()] == pytest.approx([variance.item(), redundancy.item()], rel=1e-4)
    assert added.item() == pytest.approx(weight * (10 * variance + 2 * redundancy).item(), rel=1e-4)


def test_dino_adds_it_for_its_long_views():
    plain, regularised = make_dino(), make_dino(regularise=DimensionConfig(weight=0.3))
    data = Batch(dino_views(), torch.full((6,), -1), torch.arange(6))
    out, base = regularised(data, START), plain(data, START)["loss"].item()
    long = regularised.student["encoder"](data.views[0].flatten(0, 1)).unflatten(0, (2, 6))
    added, terms = Regulariser(DimensionConfig(weight=0.3), 4)(long, START)
    assert out["loss"].item() == pytest.approx(base + added.item(), rel=1e-5) and out["loss_frobenius"] == terms["loss_frobenius"]
    assert "loss_frobenius" not in plain(data, START)


def test_one_recording_has_no_dimensions():
    with pytest.raises(InputError, match="batch needs at least two utterances"):
        make(Decorrelation, VicregConfig(projection=None))(batch(1), START)


def test_what_a_point_costs():
    """All embeddings one: the hinge is whole in VICReg, and the identity is not met in the Frobenius form."""
    one = torch.ones(2, B, 4)
    assert Regulariser(DimensionConfig(weight=1.0), 4)(one, START)[0].item() == pytest.approx(4)
    assert variance_hinge(one[0]).item() == pytest.approx(1 - math.sqrt(1e-4))
