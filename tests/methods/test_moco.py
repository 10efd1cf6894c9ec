"""MoCo around its losses, against slow versions from the equations (Zhang & Yu 2022, Eq. 1-7): queue, shuffling, correction, prototypes."""
import math

import pytest
import torch
from test_dino import Mean, batch
from torch.nn import functional as F

from sslspk.config import check
from sslspk.errors import InputError
from sslspk.methods.base import Batch, Corpus, Plain, Progress
from sslspk.methods.config import MocoDinoConfig
from sslspk.methods.config_moco import MocoConfig, QueueProtoConfig
from sslspk.methods.moco import Moco
from sslspk.methods.prototypes import PrototypeBank, QueuePrototypes
from sslspk.nn.queue import KeyQueue

START = Progress(0, 10, 2, log=True)
BASE = {"crops": [{"count": 2, "seconds": 1.0}], "projection": {"hidden_dim": 6, "out_dim": 5}, "queue_size": 8, "momentum": 0.5,
        "batch_norm_group": 3, "temperature": 0.2}


def make(recordings=6, speakers=0, **changes):
    torch.manual_seed(0)
    return Moco(check(MocoConfig, {**BASE, **changes}, "the test"), Mean, Corpus(recordings, speakers))


def views(seed=1, size=6):
    return [torch.randn(2, size, 10, 3, generator=torch.Generator().manual_seed(seed))]


def dot(a, b):
    return sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))


def slow_info_nce(q, keys, queue, temperature):
    """Eq. 1 term by term: one loss for each query."""
    losses = []
    for v, own in zip(q, keys, strict=True):
        top = math.exp(dot(v, own) / temperature)
        losses.append(-math.log(top / (top + sum(math.exp(dot(v, k) / temperature) for k in queue))))
    return losses


def vectors(method, x):
    """Queries of view 0 and keys of view 1, computed alone; no BatchNorm in the way (groups of the same recordings)."""
    with torch.no_grad():
        return F.normalize(method.query(x[0][0])), F.normalize(method.key(x[0][1]))


def without_batch_norm(**changes):
    return make(projection={"hidden_dim": 6, "out_dim": 5, "batch_norm": False}, **changes)


def test_loss_is_eq_1():
    method, x = without_batch_norm(), views()
    q, k = vectors(method, x)
    out = method(batch(x), START)
    slow = slow_info_nce(q, k, method.queue.keys, 0.2)
    assert out["loss"].item() == pytest.approx(sum(slow) / 6, rel=1e-5)


def test_symmetric_loss_is_the_mean_of_both_directions():
    method, x = without_batch_norm(symmetric=True), views()
    out = method(batch(x), START)["loss"].item()
    swapped = [x[0].flip(0)]
    single = without_batch_norm()
    both = [single(batch(v), START)["loss"].item() for v in (x, swapped)]
    assert out == pytest.approx(sum(both) / 2, rel=1e-5)


def test_older_keys_of_the_recording_itself_are_no_negatives():
    method, x = without_batch_norm(), views()
    q, k = vectors(method, x)
    method.queue.unit.copy_(torch.tensor([0, 9, 3, -1, -1, -1, -1, -1]))
    slow = [slow_info_nce(q[i:i + 1], k[i:i + 1], method.queue.keys[method.queue.unit != i], 0.2)[0] for i in range(6)]
    out = method(batch(x), START)
    assert out["loss"].item() == pytest.approx(sum(slow) / 6, rel=1e-5)
    assert all(math.isfinite(value.item()) for value in out.values())
    out["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in method.query.parameters())


def test_keys_enter_the_queue_after_the_step_in_the_order_of_the_batch():
    method, x = without_batch_norm(), views()
    _, k = vectors(method, x)
    before = method.queue.keys.clone()
    method(batch(x), START)
    assert torch.equal(method.queue.keys, before)
    method.after_step(START)
    assert torch.allclose(method.queue.keys[:6], k, atol=1e-6) and method.queue.unit.tolist() == [0, 1, 2, 3, 4, 5, -1, -1]
    assert torch.equal(method.queue.keys[6:], before[6:])


def test_key_encoder_is_the_moving_average_of_the_query_encoder():
    method = make()
    old = [p.clone() for p in method.key.parameters()]
    with torch.no_grad():
        for p in method.query.parameters():
            p.add_(1.0)
    method(batch(views()), START)
    method.after_step(START)
    for before, key, query in zip(old, method.key.parameters(), method.query.parameters(), strict=True):
        assert torch.allclose(key, 0.5 * before + 0.5 * query) and not key.requires_grad


def test_queries_and_keys_are_normalised_in_different_company():
    """A recording changes the BatchNorm group of its query, and its key another one: what one group tells the other tells not."""
    method, x = make(), views()
    def groups(view, network):
        """Which outputs move when recording 0 moves."""
        moved = view.clone()
        moved[0] += 1.0
        return set((network(view) - network(moved)).abs().sum(1).gt(1e-6).nonzero().flatten().tolist())
    with torch.no_grad():
        asked = groups(x[0][0], method.query)
        answered = set()
        for step in range(20):
            def keys(view, step=step):
                method._pending.clear()
                return method._keys(view, batch(x), Progress(step, 30, 30))
            answered.add(frozenset(groups(x[0][1], keys)))
    assert asked == {0, 1, 2} and all(len(company) == 3 and 0 in company for company in answered)
    assert len(answered) > 3


def planted():
    """Three queries whose own key has cosine 0.9; queue: a false negative of query 0 (0.8), of none (0.2), of query 2 (0.75)."""
    method = without_batch_norm(queue_size=3, reweight={"true_weight": 1.0, "false_weight": 0.25})
    positive = torch.tensor([0.9, 0.9, 0.9, 0.35])
    negative = torch.tensor([[0.80, 0.2, 0.1], [0.71, 0.2, 0.0], [0.1, 0.3, 0.75], [0.34, 0.3, 0.3]])
    return method, positive, negative


def test_exactly_the_planted_false_negatives_are_flagged_and_reweighted():
    """0.8 * 0.9 = 0.72: 0.80 and 0.75 are above it, 0.71 is not; an own key of 0.35 is below 0.4, so that nothing is."""
    method, positive, negative = planted()
    assert method._flags(positive, negative).nonzero().tolist() == [[0, 0], [2, 2]]
    per_anchor = [-math.log(math.exp(p / 0.2) / (math.exp(p / 0.2) + sum(math.exp(n / 0.2) for n in row)))
                  for p, row in zip(positive.tolist(), negative.tolist(), strict=True)]
    weights = [0.25, 1.0, 0.25, 1.0]
    out = method._contrast(positive, negative, torch.full((4,), -1), START)
    assert out["loss"].item() == pytest.approx(sum(w * x for w, x in zip(weights, per_anchor, strict=True)) / 4, rel=1e-5)


def test_quality_of_the_flags_by_hand():
    """Query 0 and 2 are of the speaker of queue entry 0; flags hit one of these two pairs, and miss with the other flag."""
    method, positive, negative = planted()
    method.queue.watched.copy_(torch.tensor([5, -1, 6]))
    found = method._flag_quality(positive, negative, torch.tensor([5, 9, 5, -1]))
    assert found["false_negative_precision"].item() == 0.5 and found["false_negative_recall"].item() == 0.5


def test_reweighting_waits_for_its_epoch():
    method, positive, negative = planted()
    later = method.config.model_copy(update={"reweight": method.config.reweight.model_copy(update={"start_epoch": 1.0})})
    method.config = later
    nobody = torch.full((4,), -1)
    early = method._contrast(positive, negative, nobody, Progress(1, 10, 2))
    late = method._contrast(positive, negative, nobody, Progress(2, 10, 2))
    assert early["loss"] == early["info_nce"] and late["loss"] < late["info_nce"]


def test_labelled_recordings_take_supcon_over_key_and_queue():
    """Speaker 1 has two keys in the queue; Khosla et al.'s Eq. 2 with three positives, by hand."""
    method = without_batch_norm(queue_size=3, speakers=4, labelled_share=1.0, supcon_weight=2.0)
    method.queue.known.copy_(torch.tensor([1, 1, 0]))
    positive, negative = torch.tensor([0.5, 0.3]), torch.tensor([[0.4, 0.1, 0.2], [0.0, 0.6, 0.1]])
    out = method._contrast(positive, negative, torch.tensor([1, -1]), START)["loss"].item()
    def nll(row, j):
        return -math.log(math.exp(row[j] / 0.2) / sum(math.exp(x / 0.2) for x in row))
    first, second = [0.5, 0.4, 0.1, 0.2], [0.3, 0.0, 0.6, 0.1]
    assert out == pytest.approx((2.0 * sum(nll(first, j) for j in (0, 1, 2)) / 3 + nll(second, 0)) / 2, rel=1e-5)
    assert method.labels == "speaker" and make(speakers=20, labelled_share=0.15).labels == "speaker (15 %)"
    assert make(speakers=20, labelled_share=0.15).known.chosen.sum() == 3


def test_labelled_recordings_are_not_reweighted():
    """Their false negatives are known: the flagged key of query 0 may be a positive of SupCon."""
    method, positive, negative = planted()
    both = method._contrast(positive, negative, torch.full((4,), -1), START)["loss"].item()
    first = method._contrast(positive, negative, torch.tensor([3, -1, -1, -1]), START)["loss"].item()
    row = [0.9, 0.8, 0.2, 0.1]
    own = -math.log(math.exp(row[0] / 0.2) / sum(math.exp(x / 0.2) for x in row))
    assert first - both == pytest.approx(0.75 * own / 4, rel=1e-4)


def test_proto_nce_of_known_clusters_by_hand():
    """Two clusters on two axes. phi is the temperature for both, as they are alike: -log(e^(1/t) / (e^(1/t) + e^0))."""
    bank = PrototypeBank(2, 2, 4)
    angles = torch.tensor([-0.1, 0.1, math.pi / 2 - 0.1, math.pi / 2 + 0.1])
    points = torch.stack([angles.cos(), angles.sin()], 1)
    units = torch.tensor([2, 0, 3, 1])
    assert bank.loss(points, units) == 0, "before the first clustering there is no prototype"
    bank.fit(points, units, iterations=20, init="kmeans++", epsilon=10.0, temperature=0.2, seed=0)
    assert bank.assignment[2] == bank.assignment[0] != bank.assignment[3] == bank.assignment[1]
    assert torch.allclose(bank.phi, torch.full((2,), 0.2), atol=1e-6)
    axis = bank.centroids[bank.assignment[0]]
    assert torch.allclose(axis.abs(), torch.tensor([1.0, 0.0]), atol=1e-3)
    found = bank.loss(torch.tensor([[1.0, 0.0]]), torch.tensor([2])).item()
    assert found == pytest.approx(-math.log(math.exp(5) / (math.exp(5) + 1)), rel=1e-3)


def test_clusters_come_from_the_key_encoder_at_their_epoch():
    method = make(recordings=6, proto={"clusters": [2, 3], "start_epoch": 1.0, "weight": 0.5})
    seen = []
    def embed_all(network):
        seen.append(network)
        return Plain(torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), torch.arange(6), torch.tensor([0, 0, 1, 1, 2, 2]))
    assert method.before_epoch(embed_all, Progress(0, 10, 2)) == {} and "loss_proto_nce" not in method(batch(views()), START)
    figures = method.before_epoch(embed_all, Progress(2, 10, 2))
    assert seen == [method.key] and set(figures) == {"purity_2", "purity_3"} and (method.banks[1].assignment >= 0).all()
    out = method(batch(views()), Progress(2, 10, 2))
    q = F.normalize(method.query(views()[0][0]))
    slow = sum(-math.log(math.exp(dot(v, bank.centroids[c]) / bank.phi[c]) / sum(math.exp(dot(v, bank.centroids[j]) / bank.phi[j])
               for j in range(bank.size))) for bank in method.banks for v, c in zip(q, bank.assignment.tolist(), strict=True)) / 12
    assert out["loss_proto_nce"].item() == pytest.approx(slow, rel=1e-4)
    assert out["loss"].item() == pytest.approx(out["info_nce"].item() + 0.5 * slow, rel=1e-4)


def test_queue_prototypes_find_the_speakers_of_the_queue():
    g = torch.Generator().manual_seed(0)
    centres = F.normalize(torch.randn(6, 32, generator=g))
    keys = F.normalize(centres.repeat(16, 1) + 0.05 * torch.randn(96, 32, generator=g))
    queue, bank = KeyQueue(128, 32), QueuePrototypes(16, 32)
    assert bank.loss(keys[:4], keys[:4]) == 0
    nobody = torch.full((96,), -1)
    queue.push(keys, torch.arange(96), nobody, nobody, 0)
    bank.refresh(queue, QueueProtoConfig(max_clusters=16), temperature=0.1, seed=0)
    assert bank.used == 6
    found = bank.centroids[:6] @ centres.T
    assert (found.amax(1) > 0.99).all() and sorted(found.argmax(1).tolist()) == [0, 1, 2, 3, 4, 5]
    right = bank.loss(keys[:6], keys[:6])
    wrong = bank.loss(keys[:6].roll(1, 0), keys[:6])
    assert right < 0.1 < 2 < wrong
    assert bank.centroids[6:].abs().sum() == 0


@pytest.mark.parametrize("start", [0, 0.5, 1.0])
def test_queue_prototypes_teach_from_their_first_epoch_on(start, capsys):
    """A queue that shows no number of speakers gives prototypes all the same, and the log says so; the weights then differ from MoCo's."""
    proto = {"start_epoch": start, "refresh_steps": 50, "max_clusters": 8, "keys_per_cluster": 3}
    methods = [make(momentum=0.9), make(momentum=0.9, queue_proto=proto)]
    optimizers = [torch.optim.SGD(method.query.parameters(), 0.1) for method in methods]
    for step in range(4):
        progress, outs = Progress(step, 10, 2), []
        for method, optimizer in zip(methods, optimizers, strict=True):
            optimizer.zero_grad()
            outs.append(method(batch(views(step)), progress))
            outs[-1]["loss"].backward()
            optimizer.step()
            method.after_step(progress)
        begun = step >= max(1, 2 * start)   # at the very first step the queue holds no key yet
        assert (outs[1].get("loss_queue_proto_nce", 0) > 0) == begun
        weights = [torch.nn.utils.parameters_to_vector(method.query.parameters()) for method in methods]
        assert torch.equal(*weights) == (not begun)
    assert methods[1].queue_bank.used == 2
    told = capsys.readouterr().out
    assert told.count("warning: queue_proto: the ") == 1 and "2 prototypes are taken, one for 3 keys" in told


def test_configurations_of_earlier_versions_load():
    assert check(QueueProtoConfig, {"max_clusters": 7, "neighbours": 10}, "the test") == QueueProtoConfig(max_clusters=7)


@pytest.mark.parametrize("changes", [{"min_clusters": 1}, {"min_clusters": 9, "max_clusters": 8}, {"sample": 3}])
def test_bounds_of_queue_prototypes_are_told(changes):
    with pytest.raises(InputError, match="queue_proto"):
        make(queue_proto={"max_clusters": 8, **changes})


def test_replaced_recordings_may_come_twice():
    """Another recording in the place of an unreadable one: its unit is in the batch twice, which is no error."""
    method, x = make(), views()
    out = method(Batch(x, torch.full((6,), -1), torch.tensor([0, 1, 1, 2, 3, 4])), START)
    assert math.isfinite(out["loss"].item())


def test_clusterings_are_counted_from_the_first_one():
    """Every second epoch: from the start 0, 2, 4; from the first whole one after 1.5 on 2, 4; from 3 on 3, 5."""
    def embed_all(network):
        return Plain(torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), torch.arange(6))
    for start, wanted in ((0.0, [0, 2, 4]), (1.5, [2, 4]), (3.0, [3, 5])):
        method = make(proto={"clusters": [2], "start_epoch": start, "every_epochs": 2})
        found = []
        for epoch in range(6):
            before = method.banks[0].assignment.fill_(-1).clone()
            method.before_epoch(embed_all, Progress(2 * epoch, 12, 2))
            found += [epoch] * (not torch.equal(method.banks[0].assignment, before))
        assert found == wanted


def test_more_clusters_than_recordings_are_refused_at_once():
    """Not when the epoch comes at which prototypes start."""
    with pytest.raises(InputError, match=r"proto\.clusters asks for 7 clusters of 6 utterances; lower it"):
        make(proto={"clusters": [2, 7], "start_epoch": 60})


def test_groups_of_one_have_no_statistics():
    with pytest.raises(InputError, match=r"batch_norm_group: .*greater than or equal to 2"):
        make(batch_norm_group=1)


def test_multi_task_evaluates_only_what_there_is():
    tree = {"name": "moco+dino", "moco": {"projection": None, "evaluate": "query"}, "evaluate": "projected"}
    with pytest.raises(InputError, match=r"moco\.projection is null; choose teacher or student"):
        check(MocoDinoConfig, tree, "the test")
