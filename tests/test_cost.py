"""tools/bench/cost.py: what is counted on tensors without values is what a real step does."""
import fnmatch
import re
import runpy

import pytest
import torch
from recipe_copy import ROOT
from tones import tiny
from torch.utils.flop_counter import FlopCounterMode

from sslspk.config import load
from sslspk.methods import build
from sslspk.methods.base import Batch, Corpus, Progress
from sslspk.train.config import SystemConfig

COST = runpy.run_path(str(ROOT / "tools/bench/cost.py"))
PAGE = (ROOT / "docs/cost.md").read_text(encoding="utf-8")
CONFS = [path for path in sorted((ROOT / "egs").glob("*/conf/**/*.yaml")) if not path.parent.is_symlink()]


def expanded(name: str) -> list[str]:
    """a_{x,y} as a_x and a_y."""
    found = re.search(r"\{([^{}]*)\}", name)
    if not found:
        return [name]
    return [one for choice in found[1].split(",") for one in expanded(name[:found.start()] + choice + name[found.end():])]


def names_in(text: str) -> set[str]:
    """What is in backquotes."""
    return {one for name in re.findall(r"`([^`\n]+)`", text) for one in expanded(name)}


def sections(recipe: str, common: bool = False) -> str:
    """The page's sections about a recipe; common: those about all recipes, too."""
    heads = [(part.partition("\n")[0], part) for part in PAGE.split("\n## ")]
    return "\n".join(part for head, part in heads if f"egs/{recipe}" in head or (common and not head.startswith("egs/")))


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


def bestrq(batch: int):
    """A small Transformer that learns by BEST-RQ."""
    encoder = {"name": "wav2vec2", "channels": 32, "kernels": [10, 8, 4], "strides": [5, 8, 4], "position_kernel": 8, "position_groups": 2,
               "layers": 2, "dim": 32, "heads": 2, "ff_dim": 48, "layer_drop": 0}
    method = {"name": "masked_prediction", "crops": [{"count": 1, "seconds": 0.4}], "mask_span": 4, "out_dim": 16, "fill": "noise",
              "head": "linear", "targets": {"name": "random_projection", "codes": 20}}
    return tiny(encoder=encoder, method=method, **{"data.batch_size": batch})


def test_a_step_that_looks_at_values_is_taken():
    """BEST-RQ draws masks; its FLOPs go with the recordings."""
    small, large = (COST["cost"](bestrq(batch), 100) for batch in (2, 8))
    assert large.flops == pytest.approx(4 * small.flops, rel=0.05) and large.weights == small.weights


def test_attention_is_counted_in_an_evaluation():
    """Its FLOPs grow with the square of the length, all others in proportion: a second of a longer recording costs more."""
    config = bestrq(2)
    short, long = (COST["whole"](config, COST["built"](config, 100, 10), seconds) for seconds in (1.0, 11.0))
    attention = 2 * 2 * 2 * 32 * 100 ** 2   # layers, products, FLOPs of each; width; frames of a second, squared
    assert long - short == pytest.approx(10 * attention, rel=0.1)


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


@pytest.mark.parametrize("recipe", sorted({path.relative_to(ROOT / "egs").parts[0] for path in CONFS}))
def test_the_page_names_every_configuration(recipe):
    """As a system with its cost, or as no system; NAME, or FOLDER/* for all in a folder. The page names no system that is not there."""
    names = {path.relative_to(ROOT / "egs" / recipe / "conf").with_suffix("").as_posix() for path in CONFS
             if path.relative_to(ROOT / "egs").parts[0] == recipe}
    said = names_in(sections(recipe, common=True))
    folders = [name for name in said if re.fullmatch(r"[a-z0-9_]+/\*", name)]
    assert sorted(name for name in names - said if not any(fnmatch.fnmatch(name, folder) for folder in folders)) == []
    cells = re.findall(r"^\| (`[^|]+) \|", sections(recipe), re.MULTILINE) + re.findall(rf"^\| {recipe} \| (`[^|]+) \|", PAGE, re.MULTILINE)
    assert names_in("\n".join(cells)) <= names | {f"egs/{recipe}" for recipe in ("iemocap", "ravdess", "adress")}


def test_the_share_of_evaluation():
    """1000 recordings of 10 ms are 10 s; the training takes 1000 s: 1 % each time, at epochs 5, 10 and 12. At 100 ms it is 10 % each."""
    found = COST["Cost"](0, 12.0, 0, 1e15, 1e9, 0, 0)
    assert COST["evaluation"](found, 5.0, 1.0, 1000, 1.0) == (pytest.approx(3), 3)
    assert COST["evaluation"](found._replace(evaluation=1e11), 5.0, 1.0, 1000, 1.0) == (pytest.approx(30), 0)


def test_evaluation_takes_less_than_a_twentieth_of_every_training():
    """At the configurations' own train.eval_every, where the default of 5 is too often."""
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in PAGE.splitlines()
            if row.startswith("| `") and row.count("|") == 11]
    assert len(rows) > 60 and all(float(share) < 5 for *_, share, _ in rows)
    rare = {name: int(every) for names, *_, every in rows if int(every) > 5 for name in names_in(names)}
    assert len(rare) == 9
    for name, every in rare.items():
        conf, = ROOT.glob(f"egs/*/conf/{name}.yaml")
        assert load(SystemConfig, str(conf)).train.eval_every >= every


def test_labels_of_frames_are_given():
    """C-DSVAE with masked prediction reads a label for each frame."""
    encoder = {"name": "dsvae", "channels": 12, "hidden_dim": 10, "embed_dim": 6, "content_dim": 5, "decoder_channels": 8,
               "decoder_hidden": 9}
    method = {"name": "cdsvae", "crops": [{"count": 1, "seconds": 0.2}], "prior_dim": 7}
    plain, masked = (COST["cost"](tiny(encoder=encoder, method={**method, **more}, cmvn={"cmn": "none"}), 100)
                     for more in ({}, {"masked_prediction": {"mask_prob": 0.3, "mask_span": 3}}))
    assert masked.weights - plain.weights == 12 + (5 + 1) * COST["FRAME_CLASSES"] and masked.flops > plain.flops
