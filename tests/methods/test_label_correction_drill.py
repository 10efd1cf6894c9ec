"""From labels of purity 0.34: with the limits no class swallows the others; take them away, and few do, and the watch speaks."""
import pytest
import torch
from torch import nn

from sslspk.config import check
from sslspk.encoders.base import Encoder
from sslspk.methods.base import Batch, Corpus, Progress
from sslspk.methods.config_supervised import SupervisedConfig
from sslspk.methods.supervised import Supervised
from sslspk.metrics.clustering import purity
from sslspk.train.watch import Watch

SPEAKERS, EACH, BINS, BATCH = 20, 8, 16, 32
CROPS = [{"count": 1, "seconds": 0.01}, {"count": 1, "seconds": 0.01, "clean": True}]


class Perceptron(Encoder):
    def __init__(self):
        super().__init__(BINS, BINS)
        self.layers = nn.Sequential(nn.Linear(BINS, 64), nn.ReLU(), nn.Linear(64, BINS))

    def _maps(self, x):
        return x.transpose(1, 2)

    def _embed(self, maps):
        return self.layers(maps.mean(2))


def recordings(generator):
    """Recordings of known speakers, and labels of which about a third are right: purity 0.34."""
    speaker = torch.arange(SPEAKERS * EACH) // EACH
    x = torch.randn(SPEAKERS, BINS, generator=generator)[speaker] + 0.7 * torch.randn(len(speaker), BINS, generator=generator)
    wrong = torch.rand(len(speaker), generator=generator) > 0.3
    return x, torch.where(wrong, torch.randint(SPEAKERS, (len(speaker),), generator=generator), speaker), speaker


def gated(**gate):
    """With a gate that trusts hardly any recording."""
    return train(8, gate={"kind": "fixed", "threshold": 3.0, "start_epochs": 2, "correct_epochs": 4, **gate})


def renewed(**relabel):
    """With labels that a teacher renews."""
    return train(18, relabel={"start_epochs": 4, "queue": 3, "teacher_momentum": 0.9, **relabel})


def train(epochs, **options):
    """How many classes are seen at the end, the last epoch's figures, and warnings."""
    generator = torch.Generator().manual_seed(0)
    x, labels, speaker = recordings(generator)
    assert 0.3 < purity(labels.tolist(), speaker.tolist()) < 0.4
    config = check(SupervisedConfig, {"crops": CROPS, **options}, "the drill")
    torch.manual_seed(0)
    method = Supervised(config, Perceptron, Corpus(len(x), SPEAKERS))
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.1, momentum=0.9)
    steps = len(x) // BATCH
    watch, said = Watch(None), []
    for epoch in range(epochs):
        order, figures = torch.randperm(len(x), generator=generator), []
        method.before_epoch(None, Progress(epoch * steps, epochs * steps, steps))
        for step in range(steps):
            units = order[step * BATCH:(step + 1) * BATCH]
            views = [(x[units] + noise * torch.randn(BATCH, BINS, generator=generator))[None, :, None] for noise in (1.0, 0.3)]
            progress = Progress(epoch * steps + step, epochs * steps, steps)
            out = method(Batch(views, labels[units], units), progress)
            out["loss"].backward()
            optimizer.step()
            optimizer.zero_grad()
            method.after_step(progress)
            figures.append(out)
        means = {key: float(sum(out[key].detach() for out in figures)) / steps for key in figures[0]}
        said.append(watch.collapse(means, epoch + 1.0))
    with torch.no_grad():
        seen = method.classifier(method.encoder.eval()(x[:, None])).argmax(1)
    return len(seen.unique()), means, [text for text in said if text]


def test_without_the_limits_one_class_swallows_the_others():
    classes, figures, said = gated()
    assert classes <= 2 and figures["corrected"] > 0.9 and figures["loss"] < 0.1
    assert len(said) == 1 and "% of the labels by its own predictions" in said[0]


@pytest.mark.parametrize("growth", [None, 1.0])
def test_with_the_limits_it_does_not(growth):
    classes, figures, said = gated(least_believed=0.5, correct_growth=growth)
    assert classes >= 8 and figures["believed"] >= 0.4 and figures["corrected"] < 0.5 and not said


def test_corrections_into_one_class_are_as_many_as_it_has_recordings():
    _, figures, said = gated(correct_growth=1.0)
    assert figures["corrected"] < 0.15 and not said, "of 160 recordings one class has about 8"


def test_a_teacher_without_a_limit_gives_all_recordings_to_few_classes():
    classes, figures, said = renewed(growth=None)
    assert classes <= 5 and figures["corrected"] > 0.85 and figures["loss"] < 1
    assert len(said) == 1 and "% of the labels by its own predictions" in said[0]


def test_a_teacher_with_the_limit_does_not():
    classes, figures, said = renewed()
    assert classes >= 8 and 0.2 < figures["corrected"] < 0.6 and not said
