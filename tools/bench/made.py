"""Made-up inputs for benchmarks: recordings of noise, a model with random weights, a system of every method; and their time limit."""
import time
from pathlib import Path

import numpy as np

RATE = 16000
BEGUN = time.monotonic()
# By method: the full-size configuration and that of the synthetic corpus. C-DSVAE needs frame labels; its encoder is DSVAE's.
SYSTEMS = {
    "dino": ("voxceleb/conf/dino_ecapa.yaml", "voxceleb/conf/mini/dino_tdnn.yaml"),
    "moco": ("voxceleb/conf/moco_ecapa.yaml", "voxceleb/conf/mini/moco_tdnn.yaml"),
    "simclr": ("voxceleb/conf/simclr_ecapa.yaml", "voxceleb/conf/mini/simclr_tdnn.yaml"),
    "sdpn": ("voxceleb/conf/sdpn_ecapa.yaml", "voxceleb/conf/mini/sdpn_tdnn.yaml"),
    "supervised": ("voxceleb/conf/ecapa_aam.yaml", "voxceleb/conf/mini/supervised_tdnn.yaml"),
    "moco+dino": ("voxceleb/conf/c3dino_multitask_ecapa.yaml", "voxceleb/conf/mini/c3dino_multitask_tdnn.yaml"),
    "wav2vec2": ("librispeech/conf/wav2vec2.yaml", "librispeech/conf/mini/wav2vec2.yaml"),
    "masked_prediction": ("librispeech/conf/bestrq.yaml", "librispeech/conf/mini/bestrq.yaml"),
    "cpc": ("librispeech/conf/cpc_spk_1.yaml", "librispeech/conf/mini/cpc_spk_1.yaml"),
    "vq_wav2vec": ("librispeech/conf/vq_wav2vec.yaml", "librispeech/conf/mini/vq_wav2vec.yaml"),
    "lim": ("librispeech/conf/lim.yaml", "librispeech/conf/mini/lim.yaml"),
    "pase": ("librispeech/conf/pase.yaml", "librispeech/conf/mini/pase.yaml"),
    "dsvae": ("disentangle/conf/dsvae.yaml", "disentangle/conf/mini/dsvae.yaml"),
    "byol": ("voxceleb/conf/byol_resnetse34l.yaml", "voxceleb/conf/mini/byol_tdnn.yaml"),
    "vicreg": ("voxceleb/conf/vicreg_resnetse34l.yaml", "voxceleb/conf/mini/vicreg_tdnn.yaml"),
    "barlow_twins": ("voxceleb/conf/barlow_twins_resnetse34l.yaml", "voxceleb/conf/mini/barlow_twins_tdnn.yaml"),
    "siamese": ("voxceleb/conf/siamese_resnetse34l.yaml", "voxceleb/conf/mini/siamese_tdnn.yaml"),
    "angular": ("voxceleb/conf/angular_resnetse34l.yaml", "voxceleb/conf/mini/angular_tdnn.yaml"),
    "supcon": ("voxceleb/conf/supcon_ecapa.yaml", "voxceleb/conf/mini/supcon_tdnn.yaml"),
    "gcl": ("voxceleb/conf/gcl15_tdnn.yaml", "voxceleb/conf/mini/gcl15_tdnn.yaml"),
}


def systems(small: bool) -> dict:
    """The configurations of SYSTEMS, by method."""
    from sslspk.config import load
    from sslspk.train.config import SystemConfig
    recipes = Path(__file__).resolve().parents[2] / "egs"
    return {name: load(SystemConfig, str(recipes / confs[small])) for name, confs in SYSTEMS.items()}


def backend(device: str) -> str:
    """The back end of torch.compile: inductor; on a CPU, where its compiler would run for minutes, one that traces but does not compile."""
    return "aot_eager" if device == "cpu" else "inductor"


def over(seconds: float | None) -> bool:
    """Whether this many seconds have passed since the benchmark began; None: no limit."""
    return seconds is not None and time.monotonic() - BEGUN > seconds


def noise(count: int, seconds: float, seed: int = 0) -> list[np.ndarray]:
    """`count` recordings of noise, each `seconds` long, int16 (S,)."""
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 2000, round(seconds * RATE)).astype(np.int16) for _ in range(count)]


def data(folder: Path, count: int, seconds: float) -> Path:
    """A packed data directory of noise, with two recordings per speaker."""
    from sslspk.io import audio, datadir, table
    folder.mkdir()
    names = [f"s{i // 2:04d}-u{i:05d}" for i in range(count)]
    with audio.PackWriter(folder / "wav.ark", folder / "pack.scp") as pack:
        for name, samples in zip(names, noise(count, seconds), strict=True):
            pack.write(name, samples, RATE)
    datadir.write(folder, wav=table.read(folder / "pack.scp"), utt2spk={name: name.split("-")[0] for name in names},
                  utt2num_samples=dict.fromkeys(names, round(seconds * RATE)))
    return folder


def model(path: Path, config) -> Path:
    """A final.pt with random weights for the encoder of a configuration."""
    import torch

    from sslspk.encoders import build
    from sslspk.train import model as models
    torch.manual_seed(0)
    info = {"labels": "none", "trained_on": "nothing", "data": "0" * 12, "step": 0, "commit": "none"}
    encoder = build(config.encoder, config.num_features)
    models.write(path, config, config.num_features, {"encoder": encoder.state_dict()}, "encoder", info)
    return path
