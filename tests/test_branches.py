"""Options that have no effect beside others are refused where a user sets them, and only there."""
from pathlib import Path

import pytest

from sslspk.config import Config, check, digest, load, read_yaml, to_whole_yaml, to_yaml
from sslspk.errors import InputError
from sslspk.train.config import SystemConfig

ROOT = Path(__file__).resolve().parent.parent
LIBRISPEECH, VOXCELEB, DISENTANGLE = (ROOT / f"egs/{recipe}/conf" for recipe in ("librispeech", "voxceleb", "disentangle"))
OTHERS = {   # system: {what an option needs: settings without effect there}
    LIBRISPEECH / "vq_wav2vec.yaml": {
        "seed: true": ["method.diversity=.2", "method.feature_penalty=1", "method.mask_prob=.5", "method.mask_span=5"],
        "encoder.quantiser kmeans": ["method.codes_weight=2", "method.commitment=.5"],
        "skip: true": ["encoder.aggregator={name: convolutions, skip: false, residual_scale: .3}"]},
    LIBRISPEECH / "vq_wav2vec_kmeans.yaml": {
        "encoder.quantiser gumbel": ["method.gumbel_start=3", "method.gumbel_end=.4", "method.gumbel_decay=.99"],
        "seed: true": ["method.diversity=.2", "method.feature_penalty=1"]},
    LIBRISPEECH / "vq_wav2vec_seed.yaml": {
        "seed: false": ["method.num_negatives=4", "method.negative_weight=1"], "encoder.quantiser kmeans": ["method.codes_weight=2"]},
    LIBRISPEECH / "bestrq.yaml": {"head: cosine": ["method.out_dim=32", "method.temperature=.2"]},
    LIBRISPEECH / "cpc_spk_1.yaml": {
        "negatives: anywhere": ["method.num_negatives=64"],
        "predictor: transformer": ["method.predictor_dim=64", "method.predictor_dropout=.2"]},
    LIBRISPEECH / "lim.yaml": {"context: gru or lstm": ["encoder.context_dim=64"]},
    LIBRISPEECH / "pase.yaml": {"context: qrnn": ["encoder.context_dim=64", "encoder.bidirectional=false"]},
    LIBRISPEECH / "wav2vec2.yaml": {
        "pooling: mhfa": ["encoder.embed_dim=64", "encoder.pooling_heads=4", "encoder.pooling_compress=16"],
        "relative_buckets": ["encoder.relative_distance=900"]},
    DISENTANGLE / "dsvae.yaml": {"ridge": ["encoder.decorrelate=means"]},
    VOXCELEB / "moco_tdnn.yaml": {
        "pooling: attentive": ["encoder.attention_channels=64"], "labelled_share": ["method.supcon_weight=2"]},
    VOXCELEB / "dino_lresnet34.yaml": {
        "embedding: affine or image": ["encoder={name: lresnet34, embed_dim: 64}"], "pooling: attentive": ["encoder.attention_channels=64"],
        "embedding: pooled or affine": ["encoder={name: lresnet34, embedding: image, pooling: attentive}"]},
    VOXCELEB / "dino_short.yaml": {"teacher_temp_warmup_epochs": ["method.teacher_temp_start=.01"]},
    VOXCELEB / "simclr_short.yaml": {"learn_scale: true": ["method.scale_bias=-1"]},
    VOXCELEB / "angular_short.yaml": {"adversarial": ["method.hidden_dim=64"]},
    VOXCELEB / "supervised_short.yaml": {
        "inter_margin": ["method.inter_top_k=3"], "hidden_dims": ["method.hidden=relu"],
        "kind: fixed": ["method.gate.threshold=2"], "correct_epochs": ["method.gate.correct_growth=2"]},
    VOXCELEB / "xvector_short.yaml": {
        "loss: aam or am": ["method.scale=20", "method.margin=.3", "method.margin_warmup_epochs=3"]},
}
CASES = [(path, branch, item) for path, branches in OTHERS.items() for branch, items in branches.items() for item in items]


@pytest.mark.parametrize(("path", "branch", "item"), CASES, ids=lambda case: case.stem if isinstance(case, Path) else case)
def test_an_option_without_effect_is_refused(path, branch, item):
    with pytest.raises(InputError, match=rf"needs {branch}; remove it \(default .*\)") as refused:
        load(SystemConfig, path, [item])
    assert f": {item.partition('=')[0]}" in str(refused.value) and len(str(refused.value)) <= 160, str(refused.value)


def test_an_option_with_its_branch_is_accepted():
    load(SystemConfig, LIBRISPEECH / "cpc_spk_1.yaml", ["method.negatives=anywhere", "method.num_negatives=64"])
    load(SystemConfig, LIBRISPEECH / "cpc_fb.yaml", ["method.predictor_dim=64"])
    load(SystemConfig, LIBRISPEECH / "pase_plus.yaml", ["encoder.context_dim=512", "encoder.bidirectional=false"])
    load(SystemConfig, LIBRISPEECH / "vq_wav2vec.yaml", ["method.gumbel_decay=.99"])


def test_a_default_is_accepted():
    assert load(SystemConfig, LIBRISPEECH / "cpc_spk_1.yaml", ["method.num_negatives=128"]) == load(
        SystemConfig, LIBRISPEECH / "cpc_spk_1.yaml")


def test_what_a_file_itself_says_is_refused_and_what_its_base_says_is_not(tmp_path):
    own, child = tmp_path / "own.yaml", tmp_path / "child.yaml"
    own.write_text("encoder: {name: cpc}\nmethod: {name: cpc, negatives: anywhere, num_negatives: 5}\n")
    child.write_text("base: own.yaml\nmethod: {name: cpc, negatives: batch}\n")
    assert load(SystemConfig, own).method.num_negatives == load(SystemConfig, child).method.num_negatives == 5
    child.write_text("base: own.yaml\nmethod: {name: cpc, negatives: batch, num_negatives: 6}\n")
    with pytest.raises(InputError, match=r"child.yaml: method.num_negatives needs negatives: anywhere"):
        load(SystemConfig, child)
    assert load(SystemConfig, child, instead={"method": {"name": "cpc"}}).method.num_negatives == 128


def test_what_a_program_wrote_is_read(tmp_path):
    """config.yaml, what show_config prints and final.pt hold options of the branches that are not taken as well."""
    kept = check(SystemConfig, {**read_yaml(LIBRISPEECH / "lim_short.yaml")}, "x")
    assert kept.encoder.context_dim != type(kept.encoder)().context_dim, "the base of this system says it"
    for text in (to_whole_yaml(kept), to_yaml(kept)):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        assert load(SystemConfig, path) == kept == check(SystemConfig, kept.model_dump(mode="json"), "x")
        assert digest(load(SystemConfig, path)) == digest(load(SystemConfig, LIBRISPEECH / "lim_short.yaml"))
    with pytest.raises(InputError, match=r"encoder\.context_dim needs context"):
        load(SystemConfig, path, ["encoder.context_dim=7"])


def everything(cls):
    return [cls, *(found for below in cls.__subclasses__() for found in everything(below))]


def test_branches_are_of_options_that_exist():
    whole = load(SystemConfig, LIBRISPEECH / "vq_wav2vec.yaml")
    named = 0
    for cls in everything(Config):
        if cls.__module__.startswith("sslspk.") and "branches" in vars(cls):
            for branch in cls.branches(cls(), whole):
                named += len(branch.options)
                assert cls.model_fields.keys() >= set(branch.options), (cls, branch)
    assert named > 30
