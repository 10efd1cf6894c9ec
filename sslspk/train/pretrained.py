"""Models of other toolkits, named by `ARCH CHECKPOINT`, in the form of a final.pt: to use, or to start a training from.

Frame-level models in torchaudio's format (encoders/architectures.py), and speaker embedding models of wespeaker and speechbrain
(encoders/foreign.py).
"""
import difflib
import os
import re
from pathlib import Path

import torch

from sslspk.errors import InputError, shown
from sslspk.features.config import CmvnOptions, FeatureOptions

PAIR = re.compile(r"([a-z0-9_]+) (.+)", re.DOTALL)


def pair(name: str) -> tuple[str, str] | None:
    """("wav2vec2_base", "base.pth") of "wav2vec2_base base.pth"; None for the name of a file, which may have a space in it."""
    found = PAIR.fullmatch(name)
    return None if not found or os.path.lexists(name) else (found[1], found[2])


def there(name: str) -> bool:
    """Whether what train.init_from names can be read: a final.pt, or an architecture's checkpoint (the word random: always)."""
    found = pair(name)
    return os.path.exists(name if found is None else found[1]) or (found is not None and found[1] == "random")


def read(arch: str, checkpoint: str) -> dict:
    """The content of a final.pt whose encoder is that model. Raises InputError as sslspk.encoders.architectures and foreign do."""
    from sslspk.encoders import architectures, foreign
    if arch not in architectures.ARCHES and arch not in foreign.ARCHES:
        near = difflib.get_close_matches(arch, [*architectures.ARCHES, *foreign.ARCHES], 3, 0)
        raise InputError(f"the architecture {shown(arch, 30)} is unknown; the nearest are {', '.join(near)} (docs/export.md names all).")
    if arch in foreign.ARCHES:
        return _embedding_model(arch, checkpoint, foreign.read(arch, checkpoint))
    with torch.random.fork_rng(devices=[]):
        model = architectures.build(arch, checkpoint)
    encoder = architectures.config_of(arch)
    config = {"features": FeatureOptions(sample_frequency=encoder.rate), "cmvn": CmvnOptions(), "encoder": encoder}
    return {"config": {section: options.model_dump(mode="json") for section, options in config.items()}, "num_features": 1,
            "encoders": {"encoder": {f"model.{key}": value for key, value in model.state_dict().items()}}, "evaluate": "encoder",
            "info": {"labels": "none", "start": {"system": arch, "digest": ""}}}


def _embedding_model(arch: str, checkpoint: str, found) -> dict:
    """The content of a final.pt for a sslspk.encoders.foreign.Foreign, trained on speaker labels, on data that its file does not name."""
    config = {"features": found.features, "cmvn": found.cmvn, "encoder": found.encoder}
    tree = {section: options.model_dump(mode="json") for section, options in config.items()}
    info = {"labels": "speaker", "start": {"system": arch, "digest": ""}, "system": f"{arch}_{Path(checkpoint).stem}",
            "trained_on": "unknown", "data": "unknown", "step": 0, "commit": "unknown"}
    return {"config": {**tree, "method": {"name": "supervised"}}, "num_features": found.features.num_features,
            "encoders": {"encoder": found.state}, "evaluate": "encoder", "info": info}
