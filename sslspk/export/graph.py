"""A trained model as an ONNX file: the waveform, or its features, in; the embedding out; any length.

The metadata are those that sherpa-onnx reads for speaker embedding models, and all that is needed to compute the same features elsewhere.
The graph does not remove silence; `silence` in the metadata says whether the model needs that.
"""
import io
import json
import os
import warnings

import numpy as np
import torch
from torch import nn

import sslspk
from sslspk.api.about import fields
from sslspk.encoders.projected import Projected
from sslspk.errors import InputError, named
from sslspk.export.traceable import Whole
from sslspk.features.config import FULL_SCALE
from sslspk.io.files import atomic_write
from sslspk.train.model import Model

OPSET = 16               # read by every onnxruntime since 1.11
LARGEST = 2 << 30        # bytes of a protobuf file
LIKE = 1e-4              # difference between a graph and the model that is allowed, see `difference`
SECONDS = (0.5, 3.37, 12.3)   # of the noise by which they are compared
FEATURES, WAVE = "features", "wave"
# What sherpa-onnx computes (sherpa-onnx/csrc/features.h); it has no options for them.
SHERPA = {"feature_type": "fbank", "num_mel_bins": 80, "frame_length": 25.0, "frame_shift": 10.0, "low_freq": 20.0, "high_freq": -400.0,
          "snip_edges": False, "remove_dc_offset": True, "window_type": "povey", "preemphasis_coefficient": 0.97, "use_energy": False}


def write(model: Model, path: str | os.PathLike, reads: str = WAVE, language: str | None = None, url: str | None = None,
          licence: str | None = None) -> float | None:
    """Write a model as an ONNX file, and compare both; returns the largest difference, None where onnxruntime is not installed.

    reads: "wave", samples from -1 to 1 at the model's rate (B, S), or "features", as steps/make_feats.sh writes them (B, T, F), before
    CMN, which is inside. language, url, licence: for the metadata; None: what the model says, if it was exported with them.
    Raises InputError: onnx is not installed, features of a model of waveforms, too large, not equal.
    """
    onnx = needed("onnx")
    if reads == FEATURES and model.config.waveform:
        raise InputError(f"encoder {model.config.encoder.name} reads waveforms; export it with --onnx-input wave.")
    size = sum(part.numel() * part.element_size() for part in model.encoder.state_dict().values())
    if size > LARGEST:
        raise InputError(f"the weights take {size >> 20} MB, and an ONNX file holds 2048 at most; export a folder instead.")
    whole = Whole(model, reads == FEATURES)
    graph = onnx.load_from_string(traced(whole, example(model, reads)))
    for key, value in metadata(model, reads, fields(model.info, language=language, url=url, licence=licence)).items():
        graph.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(graph)
    content = graph.SerializeToString()
    found = difference(whole, model, content, reads)
    if found is not None and not found <= LIKE:
        raise InputError(f"{named(path)}: not written, as the graph differs from the model by {found:.1e}, above {LIKE:g}; report this.")
    with atomic_write(path, "wb") as file:
        file.write(content)
    return found


def needed(name: str):
    """The module of an optional package. Raises InputError where it is not installed."""
    try:
        return {"onnx": _onnx, "onnxruntime": _onnxruntime}[name]()
    except ModuleNotFoundError as err:
        raise InputError(f"ONNX files need the package {err.name}, which is not installed; pip install 'sslspk[onnx]'.") from None


def _onnx():
    import onnx
    return onnx


def _onnxruntime():
    import onnxruntime
    return onnxruntime


def example(model: Model, reads: str) -> torch.Tensor:
    """What the tracer runs: at most one window, as the initial states of recurrent layers are as many as the example's windows."""
    samples = int(model.config.features.sample_frequency)
    encoder = model.encoder.encoder if isinstance(model.encoder, Projected) else model.encoder
    if reads == FEATURES:
        return noise((1, max(200, encoder.min_frames), model.config.num_features))
    return noise((1, min(samples, getattr(encoder, "window", samples))))


def noise(shape: tuple[int, ...]) -> torch.Tensor:
    return 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(1))


def traced(whole: nn.Module, x: torch.Tensor) -> bytes:
    """The module as an ONNX graph of any batch and length."""
    file, length = io.BytesIO(), "S" if x.ndim == 2 else "T"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")   # of what depends on the length; `difference` sees whether anything does that should not
        torch.onnx.export(whole, (x,), file, input_names=["x"], output_names=["embedding"], opset_version=OPSET, dynamo=False,
                          dynamic_axes={"x": {0: "B", 1: length}, "embedding": {0: "B"}})
    return file.getvalue()


def metadata(model: Model, reads: str, card: dict[str, str]) -> dict[str, str]:
    """Text by key. sherpa-onnx feeds features, to models of the frameworks wespeaker and 3d-speaker alone; so `framework` says that."""
    config, info = model.config, model.info
    said = {"framework": "wespeaker" if reads == FEATURES else "sslspk", **card, "comment": comment(model, reads),
            "sample_rate": int(config.features.sample_frequency), "output_dim": model.encoder.embed_dim,
            "normalize_samples": 0, "normalize_features": 0, "feature_normalize_type": "",
            "toolkit": "sslspk", "toolkit_version": sslspk.__version__, "input": reads,
            "silence": "cut before, as the model was trained" if config.vad else "left in",
            "encoder": config.encoder.name, "method": config.method.name, "labels": info.get("labels", "unknown"),
            "trained_on": info.get("trained_on", "unknown"), "commit": info.get("commit", "unknown"),
            "features": "none" if config.waveform else json.dumps(config.features.model_dump(mode="json")),
            "cmvn": "none" if config.waveform else json.dumps(config.cmvn.model_dump(mode="json"))}
    return {key: str(value) for key, value in said.items()}


def comment(model: Model, reads: str) -> str:
    """Whether sherpa-onnx would compute the features that the model was trained on."""
    if reads == WAVE:
        return "reads waveforms; not for sherpa-onnx, which computes features itself"
    own = model.config.features.model_dump()
    odd = [key for key, value in SHERPA.items() if own[key] != value]
    return "features as sherpa-onnx computes them" if not odd else f"features other than those of sherpa-onnx ({', '.join(odd)})"


def session(content: bytes):
    """An onnxruntime session on one thread. Raises InputError where it is not installed."""
    onnxruntime = needed("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def difference(whole: Whole, model: Model, content: bytes, reads: str) -> float | None:
    """The largest difference between what the graph and the toolkit make of noise of several lengths; None without onnxruntime.

    Of values above 1 in size it is the share of the embedding's largest value: float32 has seven digits.
    """
    try:
        run = session(content)
    except InputError:
        return None
    found, rate = [], int(model.config.features.sample_frequency)
    for seconds in SECONDS:
        wave = (noise((int(seconds * rate),)) * FULL_SCALE).round().clamp(-FULL_SCALE, FULL_SCALE - 1)
        on_device = wave.to(model.front_end.extractor.window.device)
        with torch.inference_mode():
            x = wave[None] / FULL_SCALE if reads == WAVE else model.front_end.extractor(on_device[None])
            want = model.encoder(model.front_end.whole(on_device)).cpu().numpy()
        found.append(np.abs(run.run(None, {"x": x.cpu().numpy()})[0] - want).max() / max(1.0, np.abs(want).max()))
    return float(max(found))
