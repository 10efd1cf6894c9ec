"""Positives from other recordings: each method's loss against loops, references, clusters, queue, figures, and what is refused."""
import math

import pytest
import torch
from test_dino import Mean
from torch.nn import functional as F

from sslspk.config import check
from sslspk.errors import InputError
from sslspk.losses.dino import dino_loss
from sslspk.losses.sinkhorn import sinkhorn
from sslspk.methods.base import Batch, Corpus, Plain, Progress
from sslspk.methods.config import DinoConfig, MocoDinoConfig, SimclrConfig
from sslspk.methods.config_moco import MocoConfig
from sslspk.methods.config_sdpn import SdpnConfig
from sslspk.methods.dino import Dino
from sslspk.methods.in_batch import InBatch
from sslspk.methods.moco import Moco
from sslspk.methods.positives import nearest_others
from sslspk.methods.sdpn import Sdpn
from sslspk.train.config import SystemConfig
from sslspk.train.watch import Watch

START = Progress(0, 40, 2, log=True)
PAIR = [{"count": 2, "seconds": 1.0}]
SSPS = {"name": "ssps", "clusters": 3, "queue_size": 7, "seconds": 1.0}
RECORDINGS, SIZE = 9, 4
CLUSTERS = torch.tensor([0, 0, 1, 1, 2, 2, 0, 1, -1])   # of the nine recordings
NEIGHBOURS = torch.tensor([[1], [0], [0]])
ENTRIES = torch.tensor([2, 0, 5, 7, -1, 1, 3])   # recordings of the queue's entries


def make(kind=SimclrConfig, method=InBatch, positives=None, sessions=None, **changes):
    torch.manual_seed(0)
    tree = {"crops": PAIR, "positives": SSPS if positives is None else positives, **changes}
    return method(check(kind, tree, "the test"), Mean, Corpus(RECORDINGS, 4, None, sessions))


def planted(*args, **changes):
    """A method with clusters and a queue that are known."""
    method = make(*args, **changes)
    found = method.positives
    if "cluster" in dict(found.named_buffers()):
        found.cluster.copy_(CLUSTERS)
        found.neighbours.copy_(NEIGHBOURS)
    found.queue.unit.copy_(ENTRIES)
    return method


def batch(method, units=(0, 4, 2, 8), labels=None, watched=None, seed=1):
    g = torch.Generator().manual_seed(seed)
    views = [torch.randn(crop.count, SIZE, 10, 3, generator=g) for crop in method.crops]
    return Batch(views, torch.full((SIZE,), -1) if labels is None else torch.tensor(labels), torch.tensor(units), watched)


def entries(method, given, progress=START):
    """Which entry takes each recording's place, by a loop over the queue, with the random numbers of the pass; None: none."""
    found, generator = method.positives, torch.Generator().manual_seed(hash((progress.draw, 11)) % 2 ** 63)
    draws = torch.rand(SIZE, 2, dtype=torch.float64, generator=generator)
    for unit, (pick, uniform) in zip(given.units.tolist(), draws.tolist(), strict=True):
        home = found.cluster[unit].item()
        group = found.neighbours[home, int(pick * found.neighbours.shape[1])].item() if home >= 0 else -1
        fit = [i for i, other in enumerate(found.queue.unit.tolist())
               if other >= 0 and other != unit and found.cluster[other] == group and group >= 0]
        fit.sort(key=lambda i: found.queue.unit[i].item())
        yield fit[int(uniform * len(fit))] if fit else None


def dot(a, b):
    return sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))


@pytest.mark.parametrize("mask", [False, True])
def test_simclr_with_substitutes_is_nt_xent_of_them(mask):
    method = planted(temperature=0.2, positives={**SSPS, "mask_negatives": mask})
    given = batch(method)
    out = method(given, START)
    with torch.no_grad():
        z = F.normalize(method.network(given.views[0].flatten(0, 1)))
    whose, places = given.units.tolist() * 2, [*entries(method, given)]
    for i, entry in enumerate(places):
        if entry is not None:
            z[SIZE + i], whose[SIZE + i] = method.positives.queue.keys[entry], method.positives.queue.unit[entry].item()
    total = 0.0
    for i in range(2 * SIZE):
        around = {CLUSTERS[whose[i]].item(), NEIGHBOURS[CLUSTERS[whose[i]], 0].item()} if CLUSTERS[whose[i]] >= 0 and mask else set()
        partner = (i + SIZE) % (2 * SIZE)
        others = [j for j in range(2 * SIZE) if j not in (i, partner) and whose[j] != whose[i] and CLUSTERS[whose[j]].item() not in around]
        top = math.exp(dot(z[i], z[partner]) / 0.2)
        total -= math.log(top / (top + sum(math.exp(dot(z[i], z[j]) / 0.2) for j in others)))
    assert places[0] is not None and places[3] is None
    assert out["loss"].item() == pytest.approx(total / (2 * SIZE), rel=1e-5)
    assert out["positives_coverage"].item() == sum(entry is not None for entry in places) / SIZE


def test_without_substitutes_nothing_changes():
    """No clusters yet: the same loss, bit for bit, as without the option."""
    found = make(temperature=0.2)
    torch.manual_seed(0)
    plain = InBatch(check(SimclrConfig, {"crops": PAIR, "temperature": 0.2}, "the test"), Mean, Corpus(RECORDINGS, 4))
    given = batch(found)
    out = found(given, START)
    assert torch.equal(out["loss"], plain(given._replace(views=given.views[:1]), START)["loss"]) and out["positives_coverage"] == 0


@pytest.mark.parametrize(("mask", "symmetric"), [(False, False), (True, False), (True, True)])
def test_moco_with_substitutes_is_eq_1_of_them(mask, symmetric):
    """The substitute's recording is no negative of the anchor; with mask_negatives nor is any of the two clusters."""
    method = planted(MocoConfig, Moco, projection=None, evaluate="query", queue_size=6, batch_norm_group=2, temperature=0.2,
                     symmetric=symmetric, positives={**SSPS, "mask_negatives": mask})
    method.queue.unit.copy_(torch.tensor([0, 3, 5, 4, 6, -1]))
    given = batch(method)
    places = [*entries(method, given)]
    with torch.no_grad():
        q, keys = (F.normalize(network(given.views[0].flatten(0, 1))).unflatten(0, (2, SIZE)) for network in (method.query, method.key))
    losses = []
    for turn, (asked, answer) in enumerate([(0, 1), (1, 0)][:1 + symmetric]):
        for i, entry in enumerate(places):
            unit, positive, whose = given.units[i].item(), keys[answer, i], given.units[i].item()
            if entry is not None:
                positive = method.positives.queue.keys[entry].unflatten(0, (1 + symmetric, -1))[turn]
                whose = method.positives.queue.unit[entry].item()
            home = CLUSTERS[unit].item()
            around = {home, NEIGHBOURS[home, 0].item()} if home >= 0 and mask else set()
            negatives = [key for key, other in zip(method.queue.keys, method.queue.unit.tolist(), strict=True)
                         if other not in (unit, whose) and (other < 0 or CLUSTERS[other].item() not in around)]
            top = math.exp(dot(q[asked, i], positive) / 0.2)
            losses.append(-math.log(top / (top + sum(math.exp(dot(q[asked, i], key) / 0.2) for key in negatives))))
    assert method(given, START)["loss"].item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_reweighting_sees_the_negatives_that_are_left():
    """All of the queue lies in the anchors' clusters: no negative, no suspect, no loss, and gradients that are finite."""
    method = planted(MocoConfig, Moco, projection=None, evaluate="query", queue_size=3, batch_norm_group=2,
                     reweight={"ratio": 0.01, "floor": -1.0}, positives={**SSPS, "mask_negatives": True})
    method.queue.unit.copy_(torch.tensor([0, 1, 3]))
    out = method(batch(method, units=(0, 6, 2, 7)), START)
    out["loss"].backward()
    assert out["loss"] == 0 and out["false_negative_share"] == 0
    assert all(p.grad.isfinite().all() for p in method.query.parameters())


def test_dino_takes_both_teacher_views_from_one_entry():
    method = planted(DinoConfig, Dino, out_dim=8, hidden_dim=5, bottleneck_dim=4, crops=[*PAIR, {"count": 1, "seconds": 0.5}])
    given = batch(method)
    out, places, head = method(given, START), [*entries(method, given)], method.teacher["head"]
    with torch.no_grad():
        student = method.student["head"](torch.cat([method.student["encoder"](x.flatten(0, 1)) for x in given.views[:2]]))
        teacher = F.normalize(head.mlp(method.teacher["encoder"](given.views[0].flatten(0, 1)))).unflatten(0, (2, SIZE))
        for i, entry in enumerate(places):
            if entry is not None:
                first, second = method.positives.queue.keys[entry].chunk(2)
                teacher[0, i], teacher[1, i] = first, second
        logits = teacher @ F.normalize(head.prototypes, dim=1).T
    wanted = dino_loss(student.unflatten(0, (3, SIZE)), logits, method.centre, 0.1, 0.04)["loss"]
    assert None in places and set(places) != {None} and out["loss"].item() == pytest.approx(wanted.item(), rel=1e-5)
    method.after_step(START)
    assert torch.allclose(method.centre, 0.1 * logits.mean((0, 1)), atol=1e-6), "the centre is that of what the student learns from"


def test_sdpn_balances_the_substitutes():
    method = planted(SdpnConfig, Sdpn, crops=[{"count": 1, "seconds": 1.0, "clean": True}, {"count": 2, "seconds": 0.5}], prototypes=6,
                     hidden_dim=5, bottleneck_dim=4, head_batch_norm=False)
    given = batch(method)
    out, places, unit = method(given, START), [*entries(method, given)], F.normalize(method.prototypes.detach(), dim=1)
    with torch.no_grad():
        z, *student = (F.normalize(network["head"](network["encoder"](view)), dim=1) for network, view in
                       ((method.teacher, given.views[0][0]), (method.student, given.views[1][0]), (method.student, given.views[1][1])))
        for i, entry in enumerate(places):
            z[i] = z[i] if entry is None else method.positives.queue.keys[entry]
        targets = sinkhorn(torch.log_softmax(z @ unit.T / 0.025, 1), 3)
        wanted = -sum((targets * torch.log_softmax(view @ unit.T / 0.1, 1)).sum(1).mean() for view in student) / 2
    assert set(places) != {None} and out["loss_prototypes"].item() == pytest.approx(wanted.item(), rel=1e-5)


def test_what_enters_the_queue_is_not_substituted():
    method = planted()
    given = batch(method)
    before = method.positives.queue.keys.clone()
    with torch.no_grad():
        own = F.normalize(method.network(given.views[0][1]))
    assert method(given, START)["positives_coverage"] > 0 and torch.equal(method.positives.queue.keys, before)
    method.after_step(START)
    queue = method.positives.queue
    assert torch.allclose(queue.keys[:SIZE], own, atol=1e-6) and queue.unit.tolist() == [0, 4, 2, 8, -1, 1, 3]


@pytest.mark.parametrize("keep", [0.2, 0.34, 0.6, 1.0])
def test_of_the_substitutes_the_closest_are_kept(keep):
    """Three of the four recordings have one; by the cosines of their references the best 1, 1, 2, 3 of these are used."""
    method = planted(positives={**SSPS, "keep": keep})
    method.positives.memory.copy_(F.normalize(torch.randn(RECORDINGS, 4, generator=torch.Generator().manual_seed(2))))
    for step in range(6):
        progress = Progress(step, 40, 2)
        given = batch(method)
        cosines = {i: dot(method.positives.memory[given.units[i]], method.positives.memory[ENTRIES[entry]])
                   for i, entry in enumerate(entries(method, given, progress)) if entry is not None}
        best = sorted(cosines, key=cosines.get)[::-1][:round(keep * len(cosines))]
        chosen = method.positives(torch.zeros(1, SIZE, 4), given, progress)
        assert (chosen.units != given.units).nonzero()[:, 0].tolist() == sorted(best) and len(cosines) == 3
    method.positives.queue.unit.fill_(-1)
    assert method.positives(torch.zeros(1, SIZE, 4), given, START).figures["positives_coverage"] == 0


def test_draws_are_those_of_the_pass_and_the_seed():
    """The fourth pass is the fourth whatever a step is made of; other passes and other seeds choose otherwise."""
    method = planted()
    def chosen(step, **more):
        return torch.cat([method.positives(torch.zeros(1, SIZE, 4), batch(method, units), Progress(step, 400, 2, **more)).units
                          for units in ((0, 4, 2, 8), (1, 5, 3, 6), (0, 1, 6, 4))]).tolist()
    assert chosen(3) == chosen(1, part=1, parts=2) and chosen(3, seed=1) == chosen(3, seed=1)
    assert len({tuple(chosen(step)) for step in range(8)}) > 2 and len({tuple(chosen(3, seed=seed)) for seed in range(8)}) > 2


class Noisy(Mean):
    """Draws at random in training mode, and counts how it was called."""

    def _embed(self, maps):
        self.calls = [*getattr(self, "calls", []), (self.training, torch.is_grad_enabled())]
        return super()._embed(maps) + self.training * 100.0 * torch.randn(4)


@pytest.mark.parametrize(("kind", "method", "which"), [(SimclrConfig, InBatch, "encoder"), (MocoConfig, Moco, "key"),
                                                       (DinoConfig, Dino, "teacher")])
def test_references_are_the_clean_view_through_the_encoder_at_rest(kind, method, which):
    torch.manual_seed(0)
    small = {"out_dim": 8} if kind is DinoConfig else {"batch_norm_group": 2} if kind is MocoConfig else {}
    found = method(check(kind, {"crops": PAIR, "positives": SSPS, **small}, "the test"), Noisy, Corpus(RECORDINGS, 0))
    given, encoder = batch(found), found.encoders()[which]
    found.train()(given, START)
    found.after_step(START)
    with torch.no_grad():
        wanted = F.normalize(encoder.eval()(given.views[-1][0]))
    assert (False, False) in encoder.calls[:-1] and found.training
    memory = found.positives.memory
    assert torch.allclose(memory[given.units], wanted, atol=1e-6)
    rest = [unit for unit in range(RECORDINGS) if unit not in given.units.tolist()]
    assert not memory[rest].any() and found.positives.seen.nonzero()[:, 0].tolist() == sorted(given.units.tolist())


def plain(watched=None):
    """Three directions, three recordings around each: what an encoder might give of the whole training set."""
    g = torch.Generator().manual_seed(3)
    centres = torch.tensor([[1.0, 0, 0, 0], [0.9, 0.5, 0, 0], [0, 0, 1.0, 0]])
    return Plain(centres.repeat_interleave(3, 0) + 0.01 * torch.randn(9, 4, generator=g), torch.arange(9), watched)


def test_clusters_and_their_neighbours_are_found_at_the_start_of_an_epoch():
    method, asked = make(sessions=list(range(9))), []
    speakers = torch.arange(3).repeat_interleave(3)
    figures = method.before_epoch(lambda encoder: asked.append(encoder) or plain(speakers), START)
    cluster, neighbours = method.positives.cluster, method.positives.neighbours[:, 0]
    a, b, c = cluster[0].item(), cluster[3].item(), cluster[6].item()
    assert asked == [method.network.encoder] and cluster.tolist() == [a] * 3 + [b] * 3 + [c] * 3 and len({a, b, c}) == 3
    assert neighbours[a] == b and neighbours[b] == a and neighbours[c] in (a, b)
    assert figures["positives_nmi_speaker"] == 1 and figures["positives_purity"] == 1 and figures["positives_nmi_session"] < 0.9
    again = method.before_epoch(lambda encoder: pytest.fail("the references are there"), Progress(2, 40, 2))
    assert again.keys() == figures.keys()


def test_nothing_is_substituted_before_its_epoch_and_references_are_gathered_in_the_one_before():
    method = make(positives={**SSPS, "clusters": 2, "start_epoch": 2})
    for step in range(8):
        progress = Progress(step, 40, 2)
        if step % 2 == 0:
            method.before_epoch(lambda encoder: pytest.fail("gathered in epoch 1"), progress)
        out = method(batch(method, units=(0, 1, 2, 3) if step % 2 else (4, 5, 6, 7)), progress)
        method.after_step(progress)
        assert method.positives.seen.any() == (step >= 2) and ("positives_coverage" in out) == (step >= 4)
    assert (method.positives.cluster >= 0).tolist() == [True] * 8 + [False], "recording 8 has not been seen, and has no cluster"


@pytest.mark.parametrize(("kind", "method"), [(SimclrConfig, InBatch), (MocoConfig, Moco), (DinoConfig, Dino), (SdpnConfig, Sdpn)])
def test_the_oracle_takes_other_recordings_of_the_speaker_and_says_so(kind, method):
    small = {SimclrConfig: {}, MocoConfig: {"batch_norm_group": 2, "projection": None, "evaluate": "query"},
             DinoConfig: {"out_dim": 8, "bottleneck_dim": 4},
             SdpnConfig: {"crops": [{"count": 1, "seconds": 1.0}] * 2, "bottleneck_dim": 4}}
    found = planted(kind, method, {"name": "oracle", "queue_size": 7}, **small[kind])
    found.positives.queue.known.copy_(torch.tensor([1, 0, 2, 2, -1, 0, 1]))
    assert found.labels == "speaker" and found.crops == found.config.crops
    chosen = [found.positives(torch.zeros(2 if kind is DinoConfig else 1, SIZE, 4), batch(found, (0, 5, 2, 8), [0, 2, 1, -1]),
                              Progress(step, 40, 2)).units.tolist() for step in range(9)]
    assert all(units == [1, 7, 3, 8] for units in chosen), "never itself; of no speaker, the ordinary one"


def test_substitutes_have_the_speed_of_their_anchor():
    """Without speeds recordings 0, 4 and 2 get any of (2, 7, 3), (0, 1) and (0, 1)."""
    method, speeds = planted(), torch.tensor([100, 90, 110, 100])
    queue, given = method.positives.queue, batch(method)._replace(speeds=speeds)
    queue.known.copy_(torch.tensor([90, 90, 100, 100, -1, 110, 110]))   # of 2, 0, 5, 7, -, 1, 3
    for step in range(9):
        chosen = method.positives(torch.zeros(1, SIZE, 4), given, Progress(step, 40, 2))
        assert chosen.units.tolist() == [7, 0, 1, 8] and chosen.figures["positives_coverage"] == 0.75
        method.positives._pushed.clear()
    queue.known[3] = 110
    assert method.positives(torch.zeros(1, SIZE, 4), given, START).units.tolist() == [0, 0, 1, 8], "none of its speed: the ordinary one"
    method.after_step(START)
    assert queue.known.tolist() == [*speeds.tolist(), -1, 110, 110]


def test_the_oracles_substitutes_have_the_speed_of_their_anchor():
    method = planted(positives={"name": "oracle", "queue_size": 7})
    given = batch(method, (0, 5, 2, 8), [0, 2, 1, -1])._replace(speeds=torch.tensor([100, 90, 110, 100]))
    method.positives(torch.zeros(1, SIZE, 4), given, START)
    method.after_step(START)
    again = given._replace(units=torch.tensor([1, 6, 3, 7]), speeds=torch.tensor([100, 90, 90, 100]))
    assert method.positives(torch.zeros(1, SIZE, 4), again, START).units.tolist() == [0, 5, 3, 7], "speaker 1 was there at 110 % alone"


def test_figures_by_hand():
    """Recording 0 gets one of 2, 7, 3 (cluster 1), of speaker 1 but 7; 4 and 2 get 0 or 1, of speakers 0 and 3; 8 is in no cluster."""
    method = planted(sessions=[0, 0, 1, 1, 2, 2, 3, 3, 4])
    method.positives.queue.watched.copy_(torch.tensor([1, 0, 5, 2, -1, 3, 1]))
    for step in range(6):
        progress = Progress(step, 40, 2, log=True)
        given = batch(method, watched=torch.tensor([1, 0, -1, 1]))
        places = [*entries(method, given, progress)]
        out = method(given, progress)
        method.positives._pushed.clear()
        speakers, sessions = method.positives.queue.watched.tolist(), method.positives.watched_sessions.tolist()
        taken = [ENTRIES[place].item() for place in places[:3]]
        assert places[3] is None and out["positives_coverage"] == 0.75
        assert out["positives_speaker_accuracy"] == ((speakers[places[0]] == 1) + (speakers[places[1]] == 0)) / 2
        right = sum(sessions[one] == sessions[unit] for one, unit in zip(taken, (0, 4, 2), strict=True))
        assert out["positives_session_accuracy"].item() == pytest.approx(right / 3)


@pytest.mark.parametrize("neighbours", [0, 1, 3, 6])
def test_nearest_clusters_are_those_of_a_loop(neighbours):
    centroids = F.normalize(torch.randn(6, 4, generator=torch.Generator().manual_seed(5)))
    count = torch.tensor([3, 0, 1, 2, 5, 1])
    for i, row in enumerate(nearest_others(centroids, count, neighbours).tolist()):
        others = sorted((j for j in range(6) if j != i and count[j]), key=lambda j: -dot(centroids[i], centroids[j]))
        assert row == ([i] if neighbours == 0 else (others + [-1] * 6)[:neighbours])


def test_a_queue_that_is_too_short_is_told():
    """The drill: one entry for 40 clusters. Coverage stays 0, and the watch says so after an epoch of it, once."""
    watch = Watch(None, begun=0.75)
    told = [watch.idle({"loss": 1.0, "positives_coverage": 0.0 if step < 12 else 0.5}, step / 4) for step in range(4, 20)]
    assert [i for i, text in enumerate(told) if text] == [3] and "queue_size" in told[3] and len(told[3]) <= 200
    method = make(positives={**SSPS, "clusters": 9, "queue_size": 1})
    method.positives.cluster.copy_(torch.arange(9))
    method.positives.neighbours.copy_(torch.arange(9)[:, None].roll(4, 0))
    assert method(batch(method), START)["positives_coverage"] == 0


REFUSED = [({"name": "simclr", "positives": {**SSPS, "neighbours": 3}}, "neighbours 3 are as many as clusters 3"),
           ({"name": "dino", "positives": {**SSPS, "mask_negatives": True}}, "DINO has no negatives"),
           ({"name": "sdpn", "positives": {**SSPS, "mask_negatives": True}}, "SDPN has no negatives"),
           ({"name": "supcon", "positives": SSPS}, "positives"), ({"name": "simclr", "positives": {"name": "orakel"}}, "positives")]


@pytest.mark.parametrize(("method", "said"), REFUSED)
def test_what_cannot_be_is_refused(method, said):
    with pytest.raises(InputError, match=said):
        check(SystemConfig, {"method": method, "encoder": {"name": "tdnn"}}, "the test")


def test_more_clusters_than_recordings_other_ways_to_draw_and_two_methods_at_once_are_refused():
    with pytest.raises(InputError, match=r"positives\.clusters asks for 10 clusters of 9 utterances; lower it"):
        make(positives={**SSPS, "clusters": 10})
    with pytest.raises(InputError, match="takes ordinary positives"):
        check(MocoDinoConfig, {"dino": {"positives": {"name": "oracle"}}}, "the test")
    with pytest.raises(InputError, match=r"data\.same draws the views of a pair from several utterances"):
        check(SystemConfig, {"method": {"name": "simclr", "positives": SSPS}, "encoder": {"name": "tdnn"},
                             "data": {"same": "utt2lang"}}, "the test")
