"""Facts about a model: how it was trained, its input and output, and the results that are stored beside it."""
import glob
import os
from pathlib import Path

from sslspk.api import comparison
from sslspk.encoders.projected import Projected
from sslspk.errors import InputError
from sslspk.io import results
from sslspk.io.provenance import corpus
from sslspk.train import model as models
from sslspk.train.config import config_hash

FIGURES = ("trials", "trials_md5", "weights", "backend", "snorm", "labels", "eer_percent", "eer_percent_low", "eer_percent_high",
           "min_dcf_0.01", "min_dcf_0.05")
UNKNOWN = "unknown"
FIELDS = ("licence", "language", "url")   # only the author of a model knows these; an exported folder stores them as info["card"]


def about(path: str | os.PathLike, content: dict | None = None) -> dict:
    """Facts of a model by name, as JSON can hold them; None where the file does not say. `results`: one dictionary for each result_*.json
    in the folders scores_* beside the file. content: the result of models.read_content, if the caller has already read the file. Raises
    InputError as sslspk.load does."""
    content = models.read_content(path) if content is None else content
    config, info, file = models.config_of(content, path), content["info"], models.file_of(path)
    encoder = models.of_content(content, path).encoder
    start, calibration = info.get("start"), comparison.find(file, info)
    features = config.features
    reads = "waveform" if config.waveform else f"{features.num_features} {features.feature_type}, cmn {config.cmvn.cmn}"
    return {
        "file": str(file), "system": models.system_of(path, info), "reproduces": config.reproduces or "no published system",
        "method": config.method.name,
        "encoder": config.encoder.name, "parameters": sum(weight.numel() for weight in encoder.parameters()),
        "embedding_dim": encoder.embed_dim, "weights": list(content["encoders"]), "default_weights": content["evaluate"],
        "projection": isinstance(encoder, Projected), "classes": content.get("classes") or "none",
        "reads": reads, "sampling_rate": features.sample_frequency, "silence_cut": config.vad,
        "trained_on": corpus(info["trained_on"]) if "trained_on" in info else None, "training_data": info.get("data"),
        "labels": info.get("labels"), **fields(info), **models.augmentation(config),
        "started_from": start["system"] if start else "none", "steps": info.get("step"),
        "weights_from": weights_from(info, config.train.valid), **best_step(info),
        "seed": config.seed, "config_hash": config_hash(config), "commit": info.get("commit"),
        "calibration": None if calibration is None else calibration.model_dump(mode="json"),
        "thresholds": {} if calibration is None else comparison.thresholds(calibration), "results": figures(file.parent)}


def weights_from(info: dict, valid: str | None) -> str | None:
    """Which step's weights the model holds; None where the file does not say. valid: the data that judged each epoch (train.valid)."""
    step, count = info.get("step"), info.get("averaged")
    if step is None or not count:
        return None
    if count > 1:
        return f"the mean of the last {count} checkpoints, up to step {step}"
    return {"best": f"step {step}, the best on {valid}", "last": f"step {step}, the last"}.get(info.get("chosen"), f"step {step}")


def best_step(info: dict) -> dict[str, str]:
    """Which step scored best during the training (train.eval_data); nothing if the training was not scored."""
    found = info.get("evaluated")
    return {"best_step": f"{found.get('best_step')}: {found.get('percent'):.2f} % on {found.get('by')}"} if isinstance(found, dict) else {}


def fields(info: dict, **given: str | None) -> dict[str, str]:
    """FIELDS of a model: the given values, else those of the folder that it was read from, else "unknown"."""
    card = info.get("card")
    kept = {key: value for key, value in card.items() if isinstance(value, str)} if isinstance(card, dict) else {}
    return {key: given.get(key) or kept.get(key, UNKNOWN) for key in FIELDS}


def figures(folder: str | os.PathLike) -> list[dict]:
    """The results in FOLDER/scores_*/, with what FIGURES name, the kind of `scoring`, and of calibrated scores actDCF and Cllr; of one that
    cannot be read the reason (`unreadable`)."""
    found = []
    for path in sorted(glob.glob(os.path.join(glob.escape(os.fspath(folder)), "scores_*", "result_*.json"))):
        row = {"file": os.path.relpath(path, folder)}
        try:
            read = results.read(Path(path))
            row |= {key: read[key] for key in FIGURES if key in read} | {"scoring": results.scoring(read)}
            if "calibration" in read:   # for scores that are not log-likelihood ratios they are meaningless
                row |= {key: read[key] for key in ("act_dcf_0.05", "cllr") if key in read}
        except InputError as err:
            row["unreadable"] = str(err)
        found.append(row)
    return found
