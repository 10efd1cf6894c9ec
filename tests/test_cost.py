"""tools/bench/cost.py: what is counted on tensors without values is what a real step does."""
import runpy

import pytest
import torch
from recipe_copy import ROOT
from tones import tiny
from torch.utils.flop_counter import FlopCounterMode

from sslspk.methods import build
from sslspk.methods.base import Batch, Corpus, Progress

COST = runpy.run_path(str(ROOT / "tools/bench/cost.py"))


def counted(config) -> int:
    """FLOPs of a step with values."""
    method = build(config.method, config.encoder, config.num_features, Corpus(100, 10)).train()
    batch = config.data.batch_size
    views = [torch.randn(crop.count, batch, round(crop.seconds * 100), config.num_features) for crop in config.method.crops]
    units = torch.arange(batch)
    with FlopCounterMode(display=False) as counter:
        method(Batch(views, units, units), Progress(0, 10, 5))["loss"].backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("changes", [{}, {"data.batch_size": 8, "train.accumulate": 2}, {"train.optimizer": "sgd"}])
def test_flops_and_sizes_are_those_of_a_real_step(changes):
    config = tiny(**changes)
    found = COST["cost"](config, 100)
    assert found.steps == 6 and found.flops == 6 * counted(config)
    method = build(config.method, config.encoder, config.num_features, Corpus(100, 10))
    state = sum(value.numel() * value.element_size() for value in method.state_dict().values())
    trained = 4 * sum(weight.numel() for weight in method.parameters() if weight.requires_grad)
    assert found.checkpoint == state + trained * (1 if config.train.optimizer == "sgd" else 2)
    assert found.weights == sum(weight.numel() for weight in method.parameters()) and found.memory > found.checkpoint


def test_a_step_that_looks_at_values_is_taken():
    """BEST-RQ draws masks; its FLOPs go with the recordings."""
    crops = [{"count": 1, "seconds": 0.4}]
    encoder = {"name": "wav2vec2", "channels": 32, "kernels": [10, 8, 4], "strides": [5, 8, 4], "position_kernel": 8, "position_groups": 2,
               "layers": 2, "dim": 32, "heads": 2, "ff_dim": 48, "layer_drop": 0}
    method = {"name": "masked_prediction", "crops": crops, "mask_span": 4, "out_dim": 16, "fill": "noise", "head": "linear",
              "targets": {"name": "random_projection", "codes": 20}}
    small, large = (COST["cost"](tiny(encoder=encoder, method=method, **{"data.batch_size": batch}), 100) for batch in (2, 8))
    assert large.flops == pytest.approx(4 * small.flops, rel=0.05) and large.weights == small.weights


def test_lstms_are_counted():
    """torch's counter leaves them out: DSVAE's LSTMs have most of its weights, and each weight takes a multiplication and an addition."""
    lstm, gru = (torch.nn.Sequential(kind(40, 50, num_layers=2, bidirectional=True, batch_first=True))
                 for kind in (torch.nn.LSTM, torch.nn.GRU))
    x = torch.randn(3, 20, 40)
    with FlopCounterMode(display=False) as counter, COST["lstms"](lstm) as found:
        lstm(x)
    assert counter.get_total_flops() == 0 and len(found) == 1
    with FlopCounterMode(display=False) as counter, COST["lstms"](gru) as none:
        gru(x)
    assert 3 * found[0] == 4 * counter.get_total_flops() and none == []   # four gates, and three
