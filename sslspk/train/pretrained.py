"""Frame-level models in torchaudio's format as the start of a training: what `ARCH CHECKPOINT` names, in the form of a final.pt."""
import os
import re

import torch

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
    """The content of a final.pt whose encoder is that model. Raises InputError as sslspk.encoders.architectures does."""
    from sslspk.encoders import architectures
    with torch.random.fork_rng(devices=[]):
        model = architectures.build(arch, checkpoint)
    encoder = architectures.config_of(arch)
    config = {"features": FeatureOptions(sample_frequency=encoder.rate), "cmvn": CmvnOptions(), "encoder": encoder}
    return {"config": {section: options.model_dump(mode="json") for section, options in config.items()}, "num_features": 1,
            "encoders": {"encoder": {f"model.{key}": value for key, value in model.state_dict().items()}}, "evaluate": "encoder",
            "info": {"labels": "none", "start": {"system": arch, "digest": ""}}}
