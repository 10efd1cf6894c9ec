"""Embeddings on disk: a directory with xvector.scp, one vector per utterance."""
import os

import numpy as np

from sslspk.errors import InputError
from sslspk.io import ark


def load(folder: str, wanted: set[str] | None = None) -> tuple[list[str], np.ndarray]:
    """Ids and embeddings (N, D) float64 of a directory, those of `wanted` where given (what it lacks is left out)."""
    path = os.path.join(folder, "xvector.scp")
    specs = {name: spec for name, spec in ark.read_scp(path).items() if wanted is None or name in wanted}
    vectors = [ark.load(spec) for spec in specs.values()]
    for name, vector in zip(specs, vectors, strict=True):
        if vector.ndim != 1 or vector.shape != vectors[0].shape:
            raise InputError(f"{path}: {name} has shape {vector.shape} where {next(iter(specs))} has {vectors[0].shape}; "
                             "embeddings are vectors of one length, extract them again.")
    return list(specs), np.array(vectors, np.float64).reshape(len(vectors), -1 if vectors else 0)
