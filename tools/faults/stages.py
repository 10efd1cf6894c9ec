"""What the campaign disturbs: stages of egs/voxceleb and egs/iemocap on a corpus of seconds, and the files that each reads and writes."""
from dataclasses import dataclass

SYSTEM = "simclr_tdnn"
SYNTH = ("--speakers 6 --test-speakers 4 --sessions 2 --utts 2 --seconds 1.2 2.0 --trials 60 --musan-files 2 --rooms 1 --rirs 1 "
         "--voxceleb2-speakers 4")
TIMEOUT = 20   # seconds until a training notices that one of its processes hangs
MADE = ("data_mini", "exp_mini")   # what a recipe makes, below its folder
NARROW = {"channels: 96": "channels: 8", "pooled_channels: 288": "pooled_channels: 24", "embed_dim: 192": "embed_dim: 12"}
SHRUNK = {   # replacements in the copied configurations, below egs: original text -> new text
    "voxceleb/conf/mini/mini": {"batch_size: 64": "batch_size: 8", "workers: 0": "workers: 2", "steps: 80": "steps: 6",
                                "save_every: 50": "save_every: 1", "log_every: 10": f"log_every: 1\n  timeout_seconds: {TIMEOUT}",
                                **NARROW},
    "voxceleb/conf/mini/dino_tdnn": {"out_dim: 2048": "out_dim: 32", "hidden_dim: 512": "hidden_dim: 16", "bottleneck_dim: 128":
                                     "bottleneck_dim: 8", "steps: 360": "steps: 6"},
    "voxceleb/conf/mini/moco_tdnn": {"hidden_dim: 256, out_dim: 128": "hidden_dim: 16, out_dim: 8", "queue_size: 512": "queue_size: 20",
                                     "batch_norm_group: 16": "batch_norm_group: 4"},
    "voxceleb/conf/mini/moco_reweighted_tdnn": {"init_part: everything, ": ""},
    "voxceleb/conf/mini/c3moco_tdnn": {"clusters: [30]": "clusters: [4]", "after: moco_reweighted_tdnn": "after: null"},
    "voxceleb/conf/mini/ivector_mfcc": {"num_gaussians: 32": "num_gaussians: 4", "ivector_dim: 24": "ivector_dim: 6"},
    "iemocap/conf/mini/scratch": {**NARROW},
    "iemocap/conf/ft/once": {"epochs: 20": "epochs: 1", "batch_size: 32": "batch_size: 8", "save_every: null": "save_every: 1"},
}
WRITTEN = {   # configurations that are replaced entirely
    "voxceleb/conf/mini/rounds/pseudo": "base: ../../rounds/pseudo.yaml\n"
                                        "method: {name: supervised, crops: [{count: 1, seconds: 1.0}], sub_centres: 1}\n"
                                        "data: {batch_size: 8, workers: 1}\ntrain: {steps: 3, schedule: cosine, save_every: 1}\n",
    "voxceleb/conf/mini/cluster": "method: cosine_ahc\nclusters: 5\n",
    "voxceleb/conf/mini/backend": "lda_dim: 3\nmin_utterances: 1\n",
}


@dataclass(frozen=True)
class Stage:
    """words: the command; reads, writes: patterns of files relative to the recipe; a fault damages one of these files. after: the stage
    whose final state it starts from. cost: about how many CPU seconds; cheap stages are disturbed more often. listed: those of `reads`
    whose loss can be noticed, because another file names them (none: all). unfinished: start from the stage's own final state without
    these files, so that faults need not repeat the rest of its work. exp: where it trains."""

    name: str
    words: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    writes_to: str   # the folder that becomes full or read-only
    after: str = ""
    cost: float = 5
    listed: tuple[str, ...] = ()
    recipe: str = "voxceleb"
    unfinished: tuple[str, ...] = ()
    exp: str = ""
    needs: str = ""   # a program without which it cannot run


def run_sh(number: int, nj: int = 1) -> tuple[str, ...]:
    return ("./run.sh", "--mini", "true", f"--synth={SYNTH}", "--nj", str(nj), "--system", SYSTEM, "--backends", "true", "--rounds", "1",
            "--stage", str(number), "--stop-stage", str(number))


def training(conf: str, exp: str, *options: str) -> tuple[str, ...]:
    return ("steps/train.sh", *options, "--conf", f"conf/mini/{conf}.yaml", "--set", "data.input=wave",
            "--set", "augment.dir=data_mini/augment", "data_mini/voxceleb1_dev_packed", exp)


TEST, DEV, PACKED = (f"data_mini/voxceleb1_{name}" for name in ("test", "dev", "dev_packed"))
EXP, ROUND, IVECTOR = f"exp_mini/{SYSTEM}", f"exp_mini/{SYSTEM}_round1", "exp_mini/ivector_mfcc"
IVECTORS = ("local/ivector_system.sh", "--nj", "1", "--conf", "conf/mini/ivector_mfcc.yaml", DEV, IVECTOR, TEST)
IEMOCAP = ("./run.sh", "--mini", "true", "--synth=--emotion-utts 6 --seconds 1.2 2.0", "--nj", "1")
FOLDS = "exp_mini/scratch_once_session/seed0"
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
           f"{PACKED}/.done"), "data_mini", "prepare", 20),
    Stage("slurm", ("steps/pack_audio.sh", "--cmd", "utils/slurm.pl", "--nj", "2", DEV, "data_mini/by_slurm"), below(DEV, TABLES[:2]),
          (*below("data_mini/by_slurm", (*TABLES, "ark/wav.1.ark", ".done")),), "data_mini", "prepare", 5, needs="slurmctld"),
    Stage("augment", run_sh(2), ("data_mini/musan_noise/wav.scp", "data_mini/rirs_small/utt2spk", "data_mini/corpora/musan/*/*/*.wav"),
          (*NOISES, "data_mini/augment/babble/utt2num_samples", "data_mini/augment/.done"), "data_mini", "features", 4),
    Stage("train", run_sh(3), (*AUDIO, *NOISES), (f"{EXP}/final.pt", f"{EXP}/config.yaml", f"{EXP}/progress.jsonl"), "exp_mini", "augment",
          11, exp=EXP),
    Stage("ranks", training(SYSTEM, "exp_mini/two_ranks", "--ranks", "2"), (*AUDIO, *NOISES),
          ("exp_mini/two_ranks/final.pt", "exp_mini/two_ranks/config.yaml"), "exp_mini", "augment", 20, exp="exp_mini/two_ranks"),
    Stage("dino", training("dino_tdnn", "exp_mini/dino_tdnn"), (*AUDIO, *NOISES),
          below("exp_mini/dino_tdnn", ("final.pt", "progress.jsonl")), "exp_mini", "augment", 9, exp="exp_mini/dino_tdnn"),
    Stage("c3moco", training("c3moco_tdnn", "exp_mini/c3moco_tdnn"), (*AUDIO, *NOISES),
          below("exp_mini/c3moco_tdnn", ("final.pt", "config.yaml")), "exp_mini", "augment", 10, exp="exp_mini/c3moco_tdnn"),
    Stage("ivectors", IVECTORS, (*below(f"{TEST}_mfcc", ("feats.scp", "vad.scp", "data/feats_*.ark")), f"{IVECTOR}/ubm/final.npz"),
          (f"{IVECTOR}/ubm/final.npz", f"{IVECTOR}/final.npz", f"{IVECTOR}/.done",
           *below(f"{IVECTOR}/emb_ivector/voxceleb1_test", ("xvector.scp", "xvector.1.ark", ".done"))), "exp_mini", "features", 7,
          unfinished=(f"{IVECTOR}/final.npz", f"{IVECTOR}/.done", f"{IVECTOR}/emb_ivector")),
    Stage("embed", run_sh(4), (*below(TEST, ("wav.scp", "utt2spk", "feats.scp", "data/feats_*.ark")), f"{EXP}/final.pt"),
          (*below(f"{EXP}/emb_encoder/voxceleb1_test", VECTORS), *below("exp_mini/statistics/voxceleb1_test/raw", ("xvector.scp",)),
           "exp_mini/statistics/voxceleb1_test/raw/xvector.ark"), "exp_mini", "train", 12),
    Stage("score", run_sh(5), (*below(f"{EXP}/emb_encoder/voxceleb1_test", VECTORS[:3]), f"{TEST}/trials_veri_test2", f"{TEST}/spk2gender"),
          below(f"{EXP}/scores_encoder", SCORES), "exp_mini", "embed", 4),
    Stage("backends", run_sh(6), (f"{EXP}/final.pt", f"{EXP}/config.yaml", *AUDIO[:2], AUDIO[3], f"{TEST}/trials_veri_test2",
                                  *below(f"{EXP}/emb_encoder/voxceleb1_test", VECTORS[:2])),
          (*below(f"{EXP}/emb_encoder/voxceleb1_dev_packed", VECTORS), *below(f"{EXP}/clusters", ("utt2spk", "info.json", ".done")),
           *below(f"{EXP}/backend_pseudo", ("plda", "transform.mat", "mean.vec", "backend.yaml", ".done")),
           f"{EXP}/calibration/fusion.json", *below(f"{EXP}/scores_encoder_asnorm", SCORES)), "exp_mini", "score", 22),
    Stage("rounds", run_sh(7), (f"{EXP}/final.pt", f"{EXP}/config.yaml", *AUDIO, f"{EXP}/clusters/utt2spk"),
          (f"{PACKED}_{SYSTEM}_round1/utt2spk", f"{EXP}/rounds.list", f"{ROUND}/final.pt", f"{ROUND}/config.yaml",
           *below(f"{ROUND}/emb_encoder/voxceleb1_test", VECTORS), *below(f"{ROUND}/scores_encoder", SCORES)), "exp_mini", "backends", 14,
          exp=ROUND),
    Stage("table", run_sh(8), (*below(f"{EXP}/scores_encoder", SCORES[:2]), f"{TEST}/trials_veri_test2"),
          ("exp_mini/RESULTS.md", "exp_mini/det_veri_test2.png"), "exp_mini", "rounds", 4),
    Stage("iemocap", (*IEMOCAP, "--stage", "1"),
          ("data_mini/iemocap/utt2emotion", "data_mini/iemocap/utt2spk", "data_mini/iemocap/wav.scp"),
          (*below("data_mini/iemocap_packed", (*TABLES, "ark/wav.1.ark", ".done")), *below(f"{FOLDS}/fold_5", ("final.pt", "config.yaml")),
           *below(f"{FOLDS}/fold_1/test", ("predictions.tsv", ".done")), "exp_mini/RESULTS.md"), "exp_mini", "corpus", 22, recipe="iemocap",
          unfinished=(f"{FOLDS}/fold_5", f"{FOLDS}/result.json", "exp_mini/RESULTS.md"), exp=f"{FOLDS}/fold_5"),
)
CORPUS = Stage("corpus", (*IEMOCAP, "--stop-stage", "0"), (), (), "data_mini", recipe="iemocap")   # not disturbed: equals that in `prepare`
BY_NAME = {stage.name: stage for stage in (*STAGES, CORPUS)}


def chain(name: str) -> list[Stage]:
    """The stage and all stages before it, in running order."""
    return [*(chain(BY_NAME[name].after) if BY_NAME[name].after else ()), BY_NAME[name]]
