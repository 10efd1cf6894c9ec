"""Two gloo ranks equal one rank with the same total batch after 20 steps without dropout.

In float64: what differs then is a fault. In float32 the two round apart, by how much depends on the processor, and some methods let it
grow (Barlow Twins to 5e-6 of the weights), or turn on it whom they substitute.
"""
import json
import os
import shutil
import subprocess
import sys

import double
import pytest
import recipe_copy
import torch
from test_dsvae_training import labelled
from test_loop import train_here
from tones import merged

from sslspk.config import load
from sslspk.io import table
from sslspk.train import checkpoint
from sslspk.train.config import SystemConfig

VQ = {"name": "vq_wav2vec", "channels": 8, "kernels": [10, 8, 4, 1], "strides": [5, 8, 4, 1], "quantiser": {"name": "gumbel", "codes": 8},
      "aggregator": {"name": "convolutions", "dim": 16, "kernels": [2, 3]}}
ENCODERS = {
    "tdnn": {"name": "tdnn", "channels": 16, "pooled_channels": 24, "embed_dim": 32, "segment_layers": 1},
    "ecapa": {"name": "ecapa", "channels": 16, "mfa_channels": 24, "scale": 4, "se_channels": 16, "attention_channels": 16,
              "embed_dim": 32},
    "cpc": {"name": "cpc", "channels": 8, "context_dim": 8, "bidirectional": True},
    "vq": VQ,
    "vq kmeans": {**VQ, "quantiser": {"name": "kmeans", "codes": 8}},
    "vq transformer": {**VQ, "aggregator": {"name": "transformer", "layers": 2, "dim": 16, "heads": 2, "ff_dim": 32, "dropout": 0,
                                            "position_kernel": 8, "position_groups": 2}},
    "pase": {"name": "pase", "channels": [8, 8, 16], "kernels": [41, 20, 17], "strides": [5, 4, 8], "embed_dim": 32, "skips": True,
             "context": "qrnn", "context_dim": 16},
    "latents": {"name": "dsvae", "channels": 16, "hidden_dim": 16, "embed_dim": 12, "content_dim": 10, "decoder_channels": 16,
                "decoder_hidden": 16, "statistics_batches": 3, "ridge": 0.1, "whiten": True, "skip": True},
    "sinc": {"name": "cpc", "channels": 8, "first": "sinc", "norm": "channel", "context": "none", "pooling": "mean"},
    "wav2vec2": {"name": "wav2vec2", "channels": 8, "kernels": [10, 8, 4], "strides": [5, 8, 4], "position_kernel": 8,
                 "position_groups": 2, "layers": 2, "dim": 16, "heads": 2, "ff_dim": 24, "layer_drop": 0, "input_dropout": 0,
                 "dropout": 0, "attention_dropout": 0},
}
ENCODERS["layer drop"] = {**ENCODERS["wav2vec2"], "layer_drop": 0.5}


def outcome(exp):
    """The losses that were logged, and the weights of final.pt."""
    lines = [json.loads(line) for line in (exp / "progress.jsonl").read_text().splitlines()]
    logged = ("purity", "perplexity", "positives", "eval_")
    losses = [value for line in lines for key, value in line.items() if key == "loss" or any(name in key for name in logged)]
    return losses, checkpoint.load(exp / "final.pt")["encoders"]


RANK = """
import gc
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import double
from torch.nn.parallel import DistributedDataParallel
from sslspk.config import load
from sslspk.train import distributed
from sslspk.train.config import SystemConfig
from sslspk.train.job import prepare
from sslspk.train.loop import train
device = distributed.init(60)
with double.precision():
    for conf in sys.argv[4:]:
        job = prepare(load(SystemConfig, conf), Path(sys.argv[2]), Path(conf).with_suffix("") / sys.argv[3], device, print)
        if sys.argv[3] == "plain":
            job.model = None
            gc.collect()   # the former one lets go of the parameters
            job.model = DistributedDataParallel(job.method, broadcast_buffers=False)
        assert train(job) == 0
distributed.leave(0)
"""


def train_on_two_ranks(folder, data, confs, name="two"):
    """CONF without its suffix, /NAME, for each of them; in one start of the ranks. plain: without our settings of DDP."""
    (folder / "rank.py").write_text(RANK)
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(folder / "rank.py")]
    words = [recipe_copy.ROOT / "tests", data, name, *confs]
    done = subprocess.run([*program, *map(str, words)], capture_output=True, text=True, cwd=recipe_copy.ROOT,
                          env={**os.environ, "OMP_NUM_THREADS": "1", "SSLSPK_DEVICE": "cpu"}, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


ONE = {"crops": [{"count": 1, "seconds": 0.4}]}
PAIR = {"crops": [{"count": 2, "seconds": 0.4}]}
MOCO = {"name": "moco", **PAIR, "projection": {"hidden_dim": 32, "out_dim": 16}, "queue_size": 20, "momentum": 0.9, "batch_norm_group": 6}
DINO = {"name": "dino", "out_dim": 64, "hidden_dim": 32, "bottleneck_dim": 32, "head_batch_norm": True,
        "crops": [{"count": 2, "seconds": 0.4}, {"count": 2, "seconds": 0.3}]}
SDPN = {"name": "sdpn", "prototypes": 24, "hidden_dim": 32, "bottleneck_dim": 32,
        "crops": [{"count": 1, "seconds": 0.4, "clean": True}, {"count": 2, "seconds": 0.3}]}
EXPANDER = {"hidden_dim": 32, "out_dim": 48, "layers": 3}
SSPS = {"name": "ssps", "clusters": 5, "queue_size": 20, "seconds": 0.4}
METHODS = {
    "dino": DINO,
    "dino rdino": {**DINO, "regularise": {"name": "rdino", "expander": EXPANDER}},
    "sdpn": SDPN,
    "sdpn frobenius": {**SDPN, "regularise": {"name": "frobenius", "of": "correlation"}},
    "vicreg": {"name": "vicreg", **PAIR, "projection": EXPANDER},
    "barlow twins": {"name": "barlow_twins", **PAIR, "projection": EXPANDER},
    "byol": {"name": "byol", **PAIR, "projection": {"hidden_dim": 32, "out_dim": 16}, "predictor_dim": 32},
    "simclr": {"name": "simclr", **PAIR, "projection": {"hidden_dim": 32, "out_dim": 16}},
    "supcon": {"name": "supcon", **PAIR},
    "gated": {"name": "supervised", "crops": [{"count": 1, "seconds": 0.4}, {"count": 1, "seconds": 0.4, "clean": True}], "sub_centres": 2,
              "scale": 10.0, "inter_margin": 0.1, "gate": {
                  "start_epochs": 2.0, "correct_epochs": 4.0, "correct_confidence": 0.3, "least_believed": 0.4, "correct_growth": 0.5}},
    "relabelled": {"name": "supervised", "crops": [{"count": 1, "seconds": 0.4}, {"count": 1, "seconds": 0.4, "clean": True}],
                   "scale": 10.0, "relabel": {"start_epochs": 2.0, "queue": 3, "teacher_momentum": 0.5}},
    "near its start": {"name": "supervised", **ONE, "scale": 10.0, "near_start": {"weight": 0.5}},
    "gcl": {"name": "gcl", **PAIR, "labelled_share": 0.5},
    "aat": {"name": "angular", "crops": [{"count": 3, "seconds": 0.2, "layout": "triplet"}], "adversarial": 3.0, "hidden_dim": 16},
    "siamese": {"name": "siamese", **PAIR, "hidden_dim": 32, "out_dim": 16, "predictor_dim": 16, "regulariser": 1.0},
    "c3moco": {**MOCO, "symmetric": True, "reweight": {"false_weight": 0.5}, "proto": {"clusters": [3]}},
    "moco supcon": {**MOCO, "labelled_share": 0.5, "queue_proto": {"max_clusters": 8, "refresh_steps": 2, "sample": 16}},
    "simclr ssps": {"name": "simclr", **PAIR, "positives": SSPS},
    "dino ssps": {**DINO, "positives": {**SSPS, "neighbours": 0, "start_epoch": 10}},
    "sdpn ssps": {**SDPN, "positives": {**SSPS, "start_epoch": 10}},
    "c3moco ssps": {**MOCO, "symmetric": True, "reweight": {"false_weight": 0.5}, "positives": {**SSPS, "mask_negatives": True}},
    "moco oracle": {**MOCO, "positives": {"name": "oracle", "queue_size": 20}},
    "moco+dino": {"name": "moco+dino", "moco": {**MOCO, **PAIR}, "dino": DINO},
}
TWIN = [{"count": 2, "seconds": 0.4, "layout": "twin"}, *ONE["crops"]]
WORKERS = [{"name": "cchunk", "channels": [16, 12], "kernels": [8, 20], "strides": [8, 20], "hidden_dim": 16},
           {"name": "gtn", "context": 3, "deltas": True}, {"name": "prosody"}, {"name": "spc", "length": 2, "gap": 4},
           {"name": "mi", "symmetric": True}, {"name": "cmi"}, {"name": "cpc", "steps": 4, "context_dim": 16}]
FRAMES = {
    "pase": {"name": "pase", "crops": TWIN, "workers": WORKERS, "statistics_batches": 3},
    "cpc": {"name": "cpc", **ONE, "steps": 4},
    "contexts": {"name": "cpc", **ONE, "steps": 4, "softmax": "contexts"},
    "anywhere": {"name": "cpc", **ONE, "steps": 4, "positions": "every", "negatives": "anywhere", "num_negatives": 16},
    "transformer": {"name": "cpc", **ONE, "steps": 4, "predictor": "transformer", "predictor_dim": 16, "predictor_dropout": 0.2,
                    "positions": "every", "negatives": "anywhere", "num_negatives": 16},
    "lim": {"name": "lim", **ONE, "hidden_dim": 32},
    "mine": {"name": "lim", **ONE, "hidden_dim": 32, "objective": "mine"},
    "gim": {"name": "lim", **ONE, "hidden_dim": 32, "objective": "nce", "context_length": 10},
}
WAV2VEC2 = {"name": "wav2vec2", **ONE, "mask_span": 4, "num_negatives": 20, "codes": 8, "code_dim": 16, "out_dim": 16,
            "feature_dropout": 0}
LABELS = {"name": "masked_prediction", **ONE, "mask_span": 4, "unmasked_weight": 0.5}
MASKED = {"hubert": {**LABELS, "out_dim": 16, "targets": {"name": "mfcc", "clusters": 6, "points": 60}},
          "bestrq": {**LABELS, "fill": "noise", "head": "linear", "targets": {"name": "random_projection", "codes": 20}},
          "wav2vec2": WAV2VEC2, "wav2vec2 other": {**WAV2VEC2, "negatives": "other"}}
LATENTS = {"dsvae": {"name": "dsvae", "crops": TWIN[:1], "prior_dim": 16, "beta": 1.0},
           "cdsvae": {"name": "cdsvae", "crops": TWIN[:1], "prior_dim": 16, "beta": 1.0, "warmup_steps": 10,
                      "masked_prediction": {"mask_span": 4, "weight": 5.0}}}
CODES = {
    "code words": {"name": "vq_wav2vec", **ONE, "steps": 4},
    "code words of the batch": {"name": "vq_wav2vec", "seed": True, **ONE, "steps": 4, "mask_span": 4},
}


SYSTEMS = [("ecapa", "dino"), *(("tdnn", name) for name in METHODS), *(("cpc", name) for name in FRAMES), ("sinc", "gim"), ("pase", "gim"),
           ("latents", "dsvae"), ("latents", "cdsvae"),
           *(("wav2vec2", name) for name in MASKED),
           ("vq", "code words"), ("vq kmeans", "code words"), ("vq transformer", "code words of the batch")]


def conf_file(folder, data, encoder, method):
    conf, trials = folder / f"{encoder}-{method}.yaml", folder / "trials"
    utts = list(table.read(data / "wav.scp"))
    trials.write_text("".join(f"{a} {b} {'target' if a[:3] == b[:3] else 'nontarget'}\n" for a in utts for b in utts if a < b))
    more = {"train.eval_list": str(trials), "train.eval_data": str(data), "train.eval_every": 5} if method == "dino" else {}
    if method == "cdsvae":
        more = {"data.frame_labels": labelled(folder / "labels", data)}
    conf.write_text(json.dumps(merged(**{
        "train.steps": 20, "train.log_every": 5, "train.save_every": 20, "train.optimizer": "sgd", "train.lr": 0.003,
        "augment.speed_perturb": [0.9, 1.1] if method in ("simclr ssps", "moco oracle") else [],
        "train.clip_norm": 1.0, "train.analyse": True, "data.batch_size": 12, "encoder": ENCODERS[encoder],
        "method": {**METHODS, **FRAMES, **MASKED, **CODES, **LATENTS}[method],
        "train.valid": str(data) if method in ("gated", "cpc", "gim", "wav2vec2") else None, **more})))
    return conf


def differences(one, two):
    """Of what was logged, in float32, and of the weights, in float64, in words; none where they agree to some roundings."""
    (one_loss, one), (two_loss, two) = outcome(one), outcome(two)
    if two_loss != pytest.approx(one_loss, rel=1e-6, abs=1e-7):   # a bound may be near 0
        yield f"losses {one_loss} and {two_loss}"
    for name in one:
        a, b = (torch.cat([v.flatten() for v in found[name].values() if v.is_floating_point()]) for found in (one, two))
        if (a - b).norm() > 1e-12 * a.norm():
            yield f"{name} by {float((a - b).norm() / a.norm()):.1e}"


@pytest.mark.slow
def test_two_ranks_equal_one(data, tmp_path):
    confs = [conf_file(tmp_path, data, *system) for system in SYSTEMS]
    with double.precision():
        for conf in confs:
            train_here(load(SystemConfig, conf), data, conf.with_suffix("") / "one")
    train_on_two_ranks(tmp_path, data, confs)
    found = {conf.stem: [*differences(conf.with_suffix("") / "one", conf.with_suffix("") / "two")] for conf in confs}
    assert len(found) == len(SYSTEMS) and not any(found.values()), found


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor compiles with g++, which is not here")
def test_two_ranks_with_compiled_encoders_equal_one_without(data, tmp_path):
    confs = [conf_file(tmp_path, data, "tdnn", method) for method in ("dino",)]
    with double.precision():
        for conf in confs:
            train_here(load(SystemConfig, conf), data, conf.with_suffix("") / "one")
    for conf in confs:
        conf.write_text(json.dumps(json.loads(conf.read_text()) | {"train": {**json.loads(conf.read_text())["train"], "compile": True}}))
    train_on_two_ranks(tmp_path, data, confs)
    found = {conf.stem: [*differences(conf.with_suffix("") / "one", conf.with_suffix("") / "two")] for conf in confs}
    assert len(found) == 1 and not any(found.values()), found
    assert all(checkpoint.load(conf.with_suffix("") / "two/final.pt")["config"]["train"]["compile"] for conf in confs)


CHANGING = [("ecapa", "dino"), ("tdnn", "gated"), ("tdnn", "c3moco ssps"), ("layer drop", "wav2vec2")]   # steps unlike each other


@pytest.mark.slow
def test_settings_of_ddp_change_no_bit(data, tmp_path):
    """Gradients as views of the buckets, and a graph that is said to be static, where steps differ: later parts, dropped layers."""
    confs = [conf_file(tmp_path, data, *system) for system in CHANGING]
    for name in ("two", "plain"):
        train_on_two_ranks(tmp_path, data, confs, name)
    for conf in confs:
        (one_loss, one), (two_loss, two) = (outcome(conf.with_suffix("") / name) for name in ("two", "plain"))
        assert one_loss == two_loss and all(torch.equal(one[name][key], two[name][key]) for name in one for key in one[name])
