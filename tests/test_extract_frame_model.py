"""steps/extract_frame_model.sh and what it is made of: embeddings against a computation by hand, and every refusal."""
import collections
import json
import pickle
import sys
import types

import kaldiio
import numpy as np
import pytest
import recipe_copy
import soundfile
import torch
import torchaudio
from recipe_copy import run, sh

from sslspk.bin import extract_frame_model
from sslspk.encoders import architectures, frame_model
from sslspk.errors import InputError
from sslspk.io import ark, datadir, table

FIELD = 10 + (3 - 1) * 5   # samples under the first frame of kernels 10 and 3, strides 5 and 2


def tiny(width=8, layers=3, **changes):
    """A wav2vec 2.0 of some thousand weights: frames of 20 samples every 10."""
    return torchaudio.models.wav2vec2_model(**{
        "extractor_mode": "layer_norm", "extractor_conv_layer_config": [(6, 10, 5), (6, 3, 2)], "extractor_conv_bias": True,
        "encoder_embed_dim": width, "encoder_projection_dropout": 0.1, "encoder_pos_conv_kernel": 4, "encoder_pos_conv_groups": 2,
        "encoder_num_layers": layers, "encoder_num_heads": 2, "encoder_attention_dropout": 0.1, "encoder_ff_interm_features": 12,
        "encoder_ff_interm_dropout": 0.1, "encoder_dropout": 0.1, "encoder_layer_norm_first": False, "encoder_layer_drop": 0.5,
        "aux_num_out": None, **changes})


# In a program of its own the table gets the tiny architecture before `main` reads it.
SITE = f"""
import sys
if "sslspk.bin.extract_frame_model" in sys.orig_argv:
    sys.path.insert(0, {str(recipe_copy.ROOT / "tests")!r})
    from sslspk.encoders import architectures
    from test_extract_frame_model import tiny
    architectures.ARCHES["tiny"] = architectures.Arch(tiny, True)
"""


@pytest.fixture(autouse=True)
def table_with_tiny(monkeypatch):
    monkeypatch.setitem(architectures.ARCHES, "tiny", architectures.Arch(tiny, True))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """data/few: four recordings, one of them shorter than a frame; tiny.pt, and the model that it holds."""
    recipe = recipe_copy.make(tmp_path_factory.mktemp("frame_model"))
    rng, wav = np.random.default_rng(0), {}
    for number, length in enumerate((16000, 9001, FIELD - 7, 4321)):
        wav[f"s{number % 2}-u{number}"] = str(recipe / f"{number}.wav")
        soundfile.write(recipe / f"{number}.wav", (100 + 900 * rng.standard_normal(length)).astype(np.int16), 16000)
    datadir.write(str(recipe / "data/few"), wav=wav, utt2spk={utt: utt[:2] for utt in wav})
    soundfile.write(recipe / "8k.wav", np.ones(9000, np.int16), 8000)
    datadir.write(str(recipe / "data/8k"), wav={"s0-u0": str(recipe / "8k.wav")}, utt2spk={"s0-u0": "s0"})
    torch.manual_seed(7)
    torch.save(tiny().state_dict(), recipe / "tiny.pt")
    (recipe / "site").mkdir()
    (recipe / "site/sitecustomize.py").write_text(SITE)
    with open(recipe / "path.sh", "a") as f:
        f.write(f'export PYTHONPATH="{recipe}/site:$PYTHONPATH"\n')
    return recipe


def by_hand(path, wav, layer, pooling, normalise):
    """Float64 but for the model: the layers' outputs are caught one by one, and pooled in numpy."""
    samples = soundfile.read(wav, dtype="int16")[0].astype(np.float64) / 32768
    if normalise:
        samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-5)
    if len(samples) < FIELD:
        samples = np.concatenate([samples, np.zeros(FIELD - len(samples))])
    model, seen = tiny().eval(), []
    model.load_state_dict(torch.load(path))
    for block in model.encoder.transformer.layers:
        block.register_forward_hook(lambda module, inputs, output: seen.append(output[0][0].detach().double().numpy()))
    model(torch.from_numpy(samples.astype(np.float32))[None])
    assert len(seen) == 3 and seen[0].shape == ((len(samples) - FIELD) // 10 + 1, 8)
    frames = np.mean(seen, axis=0) if layer == "mean" else seen[int(layer) - 1]
    mean = frames.sum(0) / len(frames)
    deviation = np.sqrt(((frames - mean) ** 2).sum(0) / len(frames))
    return mean if pooling == "mean" else np.concatenate([mean, deviation])


@pytest.mark.parametrize(("layer", "pooling", "normalise"), [
    ("mean", "mean", "auto"), ("1", "mean", "true"), ("3", "meanstd", "auto"), ("mean", "meanstd", "false"), ("2", "mean", "false")])
def test_embeddings_are_those_by_hand(recipe, tmp_path, monkeypatch, layer, pooling, normalise):
    words = ["--layer", layer, "--pooling", pooling, "--normalise", normalise, "tiny", recipe / "tiny.pt", recipe / "data/few",
             tmp_path / "x.ark", tmp_path / "x.scp"]
    monkeypatch.setattr("sys.argv", ["extract_frame_model", *map(str, words)])
    extract_frame_model.main()
    found = table.read(tmp_path / "x.scp")
    assert len(found) == 4
    for utt, wav in table.read(recipe / "data/few/wav.scp").items():
        expected = by_hand(recipe / "tiny.pt", wav, layer, pooling, normalise != "false")
        assert np.allclose(ark.load(found[utt]), expected, atol=2e-5), utt
    said = json.loads((tmp_path / "provenance.json").read_text())
    assert (said["system"], said["weights"], said["trained_on"], said["labels"]) == ("tiny", f"layer {layer}", "tiny.pt", "none")
    assert (said["pooling"], said["normalised_waveform"]) == (pooling, normalise != "false")


def test_the_step(recipe):
    out, few = recipe / "emb", table.read(recipe / "data/few/wav.scp")
    step = ("steps/extract_frame_model.sh", "--nj", "2", "--layer", "2", "--pooling", "meanstd")
    run(recipe, *step, "tiny", "tiny.pt", "data/few", out)
    found = {utt: kaldiio.load_mat(spec) for utt, spec in table.read(out / "xvector.scp").items()}
    assert list(found) == sorted(few) and {path.name for path in out.glob("*.ark")} == {f"xvector.{n}.ark" for n in (1, 2)}
    for utt, vector in found.items():
        assert np.allclose(vector, by_hand(recipe / "tiny.pt", few[utt], "2", "meanstd", True), atol=2e-5)
    assert "skipped" in run(recipe, *step, "tiny", "tiny.pt", "data/few", out)
    said = run(recipe, *step, "--seed", "3", "tiny", "random", "data/few", out)
    assert "skipped" not in said
    fresh = kaldiio.load_mat(table.read(out / "xvector.scp")["s0-u0"])
    assert not np.allclose(fresh, found["s0-u0"], atol=1e-3)
    torch.manual_seed(3)
    model = tiny()
    torch.save(model.state_dict(), recipe / "seed3.pt")
    assert np.allclose(fresh, by_hand(recipe / "seed3.pt", few["s0-u0"], "2", "meanstd", True), atol=2e-5)
    known = json.loads((out / "provenance.json").read_text())
    assert (known["weights"], known["trained_on"], known["seed"], known["labels"]) == ("untrained (layer 2)", "none", 3, "none")


def test_probes_on_embeddings_that_are_there(recipe):
    """local/probe_folds.sh: the results tell what the embeddings are."""
    utts = [f"s{spk:02d}-u{n}" for spk in range(12) for n in range(2)]
    rng, wav = np.random.default_rng(1), dict.fromkeys(utts, "/x.wav")
    datadir.write(str(recipe / "data/many"), wav=wav, utt2spk={utt: utt[:3] for utt in utts})
    table.write(recipe / "data/many/utt2class", {utt: "ab"[int(utt[-1]) % 2] for utt in utts})
    (recipe / "given").mkdir()
    with ark.Writer(recipe / "given/x.ark", recipe / "given/xvector.scp") as writer:
        for utt in utts:
            writer.write(utt, (rng.standard_normal(3) + 4 * (int(utt[-1]) % 2)).astype(np.float32))
    (recipe / "given/provenance.json").write_text(json.dumps({"system": "tiny", "weights": "layer 2", "labels": "none"}))
    run(recipe, "utils/make_folds.sh", "--by", "utt2spk", "--num-folds", "2", "--labels", "utt2class", "data/many", "data/folds")
    step = ("local/probe_folds.sh", "--labels", "data/many/utt2class")
    run(recipe, *step, "given", "data/folds", "exp/probes")
    result = json.loads((recipe / "exp/probes/logistic/result.json").read_text())
    assert (result["system"], result["weights"]) == ("tiny", "layer 2") and result["ua_percent"] > 90
    refused(sh(recipe, *step, "gone", "data/folds", "exp/no"), "there are no embeddings in gone; extract them")
    refused(sh(recipe, "local/embed.sh", "data/many", "exp/no"), "--model is needed")


def test_the_table_says_what_the_bundles_say():
    """Every bundle with pre-trained weights: an architecture of the table has its shape, and agrees on the normalisation."""
    named = {"XLSR53": "wav2vec2_large_lv60k", "WAVLM_BASE_PLUS": "wavlm_base"}
    seen = set()
    for name in dir(torchaudio.pipelines):
        bundle = getattr(torchaudio.pipelines, name)
        if isinstance(bundle, torchaudio.pipelines.Wav2Vec2Bundle) and not isinstance(bundle, torchaudio.pipelines.Wav2Vec2ASRBundle):
            if name == "MMS_FA":   # fine-tuned: an aligner
                continue
            arch = named.get(name.removeprefix("WAV2VEC2_"), name.lower())
            assert architectures.ARCHES[arch].normalise == bundle._normalize_waveform, name
            assert bundle.sample_rate == architectures.RATE
            seen.add(arch)
    assert seen == set(architectures.ARCHES) - {"tiny"}
    for text in (extract_frame_model.__doc__, (recipe_copy.ROOT / "sslspk/encoders/architectures.py").read_text()):
        assert all(arch in text for arch in seen)


def test_files_of_older_torch(recipe, tmp_path):
    """torchaudio's downloads hold weight_g and weight_v; the model of today calls them otherwise."""
    state = torch.load(recipe / "tiny.pt")
    prefix = "encoder.transformer.pos_conv_embed.conv."
    names = {f"{prefix}parametrizations.weight.original{n}": prefix + old for n, old in enumerate(("weight_g", "weight_v"))}
    assert set(names) <= set(state)
    torch.save({names.get(key, key): value for key, value in state.items()}, tmp_path / "old.pt")
    wave = torch.arange(500, dtype=torch.int16)
    old, new = (frame_model.build("tiny", str(path)) for path in (tmp_path / "old.pt", recipe / "tiny.pt"))
    assert torch.equal(old(wave), new(wave)) and not torch.equal(old(wave), frame_model.build("tiny", "random")(wave))
    torch.save(state, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    assert torch.equal(frame_model.build("tiny", str(tmp_path / "legacy.pt"))(wave), new(wave))


def test_wavlm_and_one_base_model():
    model = frame_model.build("wav2vec2_base", "random", seed=1)
    assert (model.receptive_field, model.num_layers, model.normalise, model.training) == (400, 12, False, False)
    with torch.inference_mode():
        assert model(torch.ones(1, dtype=torch.int16), "1").shape == (768,)
        assert model.frames(torch.ones(400 + 320 * 2, dtype=torch.int16), "1").shape == (3, 768)


class Danger:
    def __reduce__(self):
        return print, ("code was run",)


def wrong(folder, name):
    """A file that is no checkpoint of the tiny architecture."""
    state, path = dict(torch.load(folder / "tiny.pt")), folder / f"{name}.pt"
    first, last = next(iter(state)), list(state)[-1]
    whole = (folder / "tiny.pt").read_bytes()
    contents = {
        "missing": {key: value for key, value in state.items() if key not in (first, last)}, "one_missing": {**state},
        "extra": {**state, "mask_generator.mask_embedding": torch.ones(8), "more": torch.ones(1)},
        "aux": {**state, "aux.weight": torch.ones(5, 8), "aux.bias": torch.ones(5)},
        "wide": tiny(width=12).state_dict(), "deep": tiny(layers=4).state_dict(), "shallow": tiny(layers=2).state_dict(),
        "wrapped": {"model": state, "epoch": 3}, "numbered": {3: torch.ones(1)}, "list": [torch.ones(1)], "object": {"a": Danger()},
        "namespace": {"args": types.SimpleNamespace(a=1), **state}, "ordered": collections.OrderedDict(a=torch.ones(1)), "empty_dict": {},
        "module": torch.nn.Linear(2, 2)}
    contents["one_missing"].pop(last)
    if name in contents:
        torch.save(contents[name], path)
    elif name == "pickle":
        path.write_bytes(pickle.dumps({"a": Danger()}))
    else:
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 255
        path.write_bytes({"text": b"version https://git-lfs.github.com/spec/v1\n", "empty": b"", "truncated": whole[:len(whole) // 2],
                          "flipped": bytes(flipped), "one_byte": b"\x80"}[name])
    return path


CONV = "feature_extractor.conv_layers.0"
TORCHAUDIO = "torch.save(model.state_dict(), FILE) made of a torchaudio model"
WRONG = {
    "missing": (f"not the weights of tiny, as {CONV}.layer_norm.weight is missing, and 1 more; give the architecture that they are of",),
    "one_missing": ("is missing; give the architecture",),
    "extra": ("as mask_generator.mask_embedding is no key of it, nor are 1 more; give the architecture",),
    "aux": ("aux.weight shows that this model was fine-tuned on labels (speech recognition); give the weights as they were before",),
    "wide": ("encoder.feature_projection.projection.weight has the shape (12, 6) in place of (8, 6); give the architecture",),
    "deep": ("encoder.transformer.layers.3.", "is no key of it"), "shallow": ("encoder.transformer.layers.2.", "is missing"),
    "wrapped": ("not a state_dict, as its entry model is a dict; give", TORCHAUDIO),
    "numbered": ("not a state_dict, as its entry 3 is",), "list": ("holds a list, not a state_dict", TORCHAUDIO),
    "object": ("holds Python objects beside tensors, and loading those could run code", TORCHAUDIO),
    "namespace": ("holds Python objects beside tensors",), "module": ("holds Python objects beside tensors",),
    "ordered": ("is missing, and ",), "empty_dict": ("is missing, and ",),
    "pickle": ("damaged, or not a checkpoint", "copy or download it again"), "text": ("damaged, or not a checkpoint",),
    "empty": ("damaged, or not a checkpoint",), "truncated": ("damaged, or not a checkpoint",),
    "flipped": ("damaged, or not a checkpoint (BadZipFile: ",), "one_byte": ("damaged, or not a checkpoint",),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_checkpoint_is_one_sentence(recipe, capsys, name):
    path = wrong(recipe, name)
    with pytest.raises(InputError) as caught:
        frame_model.build("tiny", str(path))
    said = str(caught.value)
    assert said.startswith(f"{path}: ") and said.endswith(".") and "\n" not in said and all(part in said for part in WRONG[name]), said
    assert "code was run" not in capsys.readouterr().out


def test_no_such_file_or_architecture_or_layer(tmp_path):
    for words, part in ((("tiny", tmp_path / "gone"), "(No such file or directory); check the name, or give the word random"),
                        (("tiny", tmp_path), "is a folder, not a file; check the name, or give the word random"),
                        (("wav2vec3", "random"), "the architecture 'wav2vec3' is unknown; choose one of wav2vec2_base, ")):
        with pytest.raises(InputError) as caught:
            frame_model.build(words[0], str(words[1]))
        assert part in str(caught.value)
    model = frame_model.build("tiny", "random")
    for layer in ("0", "4", "-1", "last", "", "\u00b2"):
        with pytest.raises(InputError, match="tiny has the layers 1 to 3; give one of them, or mean"):
            model(torch.ones(50, dtype=torch.int16), layer)
    with pytest.raises(InputError, match="the pooling 'max' is unknown; choose mean or meanstd"):
        model(torch.ones(50, dtype=torch.int16), "1", "max")


@pytest.mark.parametrize("corpus", ["iemocap", "adress", "ravdess", "voxceleb"])
@pytest.mark.parametrize(("given", "said"), [
    ("wav2vec2_base gone.pt", "there is no checkpoint 'gone.pt'; --init-from takes FINAL.PT or \"ARCH CHECKPOINT\", a file or the word"),
    ("wav2vec2_base", "there is no model wav2vec2_base; train it (egs/voxceleb/run.sh), or leave --init-from out")])
def test_a_recipe_refuses_a_missing_checkpoint_at_once(corpus, given, said):
    refused(sh(recipe_copy.ROOT / "egs" / corpus, "./run.sh", "--init-from", given), said)


def refused(done, *parts):
    assert done.returncode == 1, done.stdout + done.stderr
    said = [line for line in done.stderr.splitlines() if "error:" in line]
    assert len(said) == 1 and "Traceback" not in done.stdout + done.stderr, done.stderr
    assert all(part in said[0] for part in parts), said[0]


@pytest.mark.parametrize(("words", "parts"), [
    (("tiny", "gone.pt", "data/few"), ("there is no checkpoint gone.pt; check the name, or give the word random",)),
    (("--seed", "1", "tiny", "tiny.pt", "data/few"), ("--seed is for untrained models",)),
    (("--seed", "x", "tiny", "random", "data/few"), ("--seed takes a whole number of at most 9 digits, not 'x'",)),
    (("--pooling", "max", "tiny", "tiny.pt", "data/few"), ("--pooling takes mean or meanstd, not 'max'",)),
    (("--normalise", "no", "tiny", "tiny.pt", "data/few"), ("--normalise takes auto, true or false, not 'no'",)),
    (("--layer", "last", "tiny", "tiny.pt", "data/few"), ("--layer takes a number from 1 on, or mean, not 'last'",)),
    (("tiny", "tiny.pt", "data/gone"), ("data/gone has no wav.scp, and tiny reads audio",)),
    (("--layer", "4", "tiny", "tiny.pt", "data/few"), ("--layer 4: tiny has the layers 1 to 3",)),
    (("tiny", "text.pt", "data/few"), ("text.pt: damaged, or not a checkpoint",)),
    (("hubert", "tiny.pt", "data/few"), ("the architecture 'hubert' is unknown; choose one of wav2vec2_base",)),
    (("tiny", "tiny.pt", "data/8k"), ("s0-u0: ", "has 8000 Hz where 16000 Hz are needed; resample it with")),
])
def test_mistakes_of_the_step_are_one_sentence(recipe, words, parts):
    wrong(recipe, "text")
    refused(sh(recipe, "steps/extract_frame_model.sh", "--nj", "1", *words, "no"), *parts)
    assert not (recipe / "no/xvector.scp").exists() and not (recipe / "no/.done").exists()


def test_a_gpu_that_is_not_there(recipe, tmp_path, monkeypatch):
    words = ["--gpu", "64", "tiny", "random", recipe / "data/few", tmp_path / "x.ark", tmp_path / "x.scp"]
    monkeypatch.setattr(sys, "argv", ["extract_frame_model", *map(str, words)])
    with pytest.raises(InputError, match="--gpu 64: this machine has"):
        extract_frame_model.main()
