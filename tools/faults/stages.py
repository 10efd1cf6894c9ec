"""What the campaign disturbs: every stage of egs/voxceleb/run.sh on a corpus of seconds, and the files that each reads and writes."""
from dataclasses import dataclass

SYSTEM = "simclr_tdnn"
SYNTH = ("--speakers 6 --test-speakers 4 --sessions 2 --utts 2 --seconds 1.2 2.0 --trials 60 --musan-files 2 --rooms 1 --rirs 1 "
         "--voxceleb2-speakers 4")
TIMEOUT = 20   # seconds after which a training notices that one of its processes hangs
SHRUNK = {   # what the copied configurations say in place of what they say in egs/voxceleb/conf/mini
    "mini": {"batch_size: 64": "batch_size: 8", "workers: 0": "workers: 2", "steps: 80": "steps: 6", "save_every: 50": "save_every: 1",
             "log_every: 10": f"log_every: 1\n  timeout_seconds: {TIMEOUT}", "channels: 96": "channels: 8",
             "pooled_channels: 288": "pooled_channels: 24", "embed_dim: 192": "embed_dim: 12"},
}
WRITTEN = {   # whole configurations in place of those of egs/voxceleb/conf/mini
    "rounds/pseudo": "base: ../../rounds/pseudo.yaml\n"
                     "method: {name: supervised, crops: [{count: 1, seconds: 1.0}], sub_centres: 1}\n"
                     "data: {batch_size: 8, workers: 1}\ntrain: {steps: 3, schedule: cosine, save_every: 1}\n",
    "cluster": "method: cosine_ahc\nclusters: 5\n",
    "backend": "lda_dim: 3\nmin_utterances: 1\n",
}


@dataclass(frozen=True)
class Stage:
    """words: the command; reads, writes: patterns of files relative to the recipe, one of which a fault damages. listed: those of
    `reads` that something names, so that it can be noticed when they are gone (none: all)."""

    name: str
    words: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    writes_to: str   # the folder that a full or read-only disk is about
    listed: tuple[str, ...] = ()


def run_sh(number: int, nj: int = 1) -> tuple[str, ...]:
    return ("./run.sh", "--mini", "true", f"--synth={SYNTH}", "--nj", str(nj), "--system", SYSTEM, "--backends", "true", "--rounds", "1",
            "--stage", str(number), "--stop-stage", str(number))


RANKS = ("steps/train.sh", "--ranks", "2", "--conf", f"conf/mini/{SYSTEM}.yaml", "--set", "data.road=wave", "--set",
         "augment.dir=data_mini/augment", "data_mini/voxceleb1_dev_packed", "exp_mini/two_ranks")
TEST, DEV, PACKED = (f"data_mini/voxceleb1_{name}" for name in ("test", "dev", "dev_packed"))
EXP, ROUND = f"exp_mini/{SYSTEM}", f"exp_mini/{SYSTEM}_round1"
TABLES = ("wav.scp", "utt2spk", "utt2num_samples")
AUDIO = tuple(f"{PACKED}/{name}" for name in (*TABLES, "ark/wav.1.ark"))
NOISES = ("data_mini/augment/noise/wav.scp", "data_mini/augment/noise/ark/wav.1.ark")
VECTORS = ("xvector.scp", "xvector.1.ark", "provenance.json", ".done")
SCORES = ("scores_trials_veri_test2", "result_trials_veri_test2.json", ".score_trials_veri_test2/.done")


def below(folder: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in names)


STAGES = (
    Stage("prepare", run_sh(0), ("data_mini/corpora/VoxCeleb1/*/wav/*/*/*.wav", "data_mini/corpora/VoxCeleb1/veri_test2.txt",
                                 "data_mini/corpora/VoxCeleb1/vox1_meta.csv", "data_mini/corpora/musan/*/*/*.wav"),
          (*below(TEST, (*TABLES, "spk2utt", "trials_veri_test2")), *below(DEV, TABLES), "data_mini/musan_noise/wav.scp"), "data_mini",
          listed=("data_mini/corpora/VoxCeleb1/test/wav/*/*/*.wav", "data_mini/corpora/VoxCeleb1/veri_test2.txt",
                  "data_mini/corpora/VoxCeleb1/vox1_meta.csv")),
    Stage("features", run_sh(1, 2), (*below(TEST, TABLES[:2]), *below(DEV, TABLES[:2]), "data_mini/corpora/VoxCeleb1/*/wav/*/*/*.wav"),
          (*below(TEST, ("feats.scp", "vad.scp", "utt2num_frames", "data/feats_*.ark", "data/vad_*.ark", ".make_feats/.done")), *AUDIO,
           f"{PACKED}/.done"), "data_mini"),
    Stage("augment", run_sh(2), ("data_mini/musan_noise/wav.scp", "data_mini/rirs_small/utt2spk", "data_mini/corpora/musan/*/*/*.wav"),
          (*NOISES, "data_mini/augment/babble/utt2num_samples", "data_mini/augment/.done"), "data_mini"),
    Stage("train", run_sh(3), (*AUDIO, *NOISES), (f"{EXP}/final.pt", f"{EXP}/config.yaml"), "exp_mini"),
    Stage("ranks", RANKS, (*AUDIO, *NOISES), ("exp_mini/two_ranks/final.pt", "exp_mini/two_ranks/config.yaml"), "exp_mini"),
    Stage("embed", run_sh(4), (*below(TEST, ("wav.scp", "utt2spk", "feats.scp", "data/feats_*.ark")), f"{EXP}/final.pt"),
          (*below(f"{EXP}/emb_encoder/voxceleb1_test", VECTORS), *below("exp_mini/statistics/voxceleb1_test/raw", ("xvector.scp",)),
           "exp_mini/statistics/voxceleb1_test/raw/xvector.ark"), "exp_mini"),
    Stage("score", run_sh(5), (*below(f"{EXP}/emb_encoder/voxceleb1_test", VECTORS[:3]), f"{TEST}/trials_veri_test2", f"{TEST}/spk2gender"),
          below(f"{EXP}/scores_encoder", SCORES), "exp_mini"),
    Stage("backends", run_sh(6), (f"{EXP}/final.pt", f"{EXP}/config.yaml", *AUDIO[:2], AUDIO[3], f"{TEST}/trials_veri_test2",
                                  *below(f"{EXP}/emb_encoder/voxceleb1_test", VECTORS[:2])),
          (*below(f"{EXP}/emb_encoder/voxceleb1_dev_packed", VECTORS), *below(f"{EXP}/clusters", ("utt2spk", "info.json", ".done")),
           *below(f"{EXP}/backend_pseudo", ("plda", "transform.mat", "mean.vec", "backend.yaml", ".done")),
           f"{EXP}/calibration/fusion.json", *below(f"{EXP}/scores_encoder_asnorm", SCORES)), "exp_mini"),
    Stage("rounds", run_sh(7), (f"{EXP}/final.pt", f"{EXP}/config.yaml", *AUDIO, f"{EXP}/clusters/utt2spk"),
          (f"{PACKED}_{SYSTEM}_round1/utt2spk", f"{EXP}/rounds.list", f"{ROUND}/final.pt", f"{ROUND}/config.yaml",
           *below(f"{ROUND}/emb_encoder/voxceleb1_test", VECTORS), *below(f"{ROUND}/scores_encoder", SCORES)), "exp_mini"),
    Stage("table", run_sh(8), (*below(f"{EXP}/scores_encoder", SCORES[:2]), f"{TEST}/trials_veri_test2"),
          ("exp_mini/RESULTS.md", "exp_mini/det_veri_test2.png"), "exp_mini"),
)
BY_NAME = {stage.name: stage for stage in STAGES}
