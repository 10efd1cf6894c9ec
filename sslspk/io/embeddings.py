"""Embeddings on disk: a directory with xvector.scp, one vector per utterance."""
import os

import numpy as np

from sslspk.errors import InputError
from sslspk.io import ark

LEAST, MOST = 1e-30, 1e30   # for the largest value of an embedding; squares far outside this range are 0 or infinite


def load(folder: str, wanted: set[str] | None = None) -> tuple[list[str], np.ndarray]:
    """Ids and embeddings (N, D) float64 of a directory; `wanted` selects some (ids that it lacks are left out).

    Raises InputError naming an embedding of another length, or with values too large or too small to compute with. The caller checks
    for NaN, infinity and zeros.
    """
    path = os.path.join(folder, "xvector.scp")
    specs = {name: spec for name, spec in ark.read_scp(path).items() if wanted is None or name in wanted}
    vectors = [ark.load(spec) for spec in specs.values()]
    for name, vector in zip(specs, vectors, strict=True):
        if vector.ndim != 1 or vector.shape != vectors[0].shape:
            raise InputError(f"{path}: {name} has shape {vector.shape} where {next(iter(specs))} has {vectors[0].shape}; "
                             "embeddings are vectors of one length, extract them again.")
    x = np.array(vectors, np.float64).reshape(len(vectors), -1 if vectors else 0)
    largest = np.abs(x).max(1, initial=0)
    odd = np.flatnonzero((largest > 0) & (largest < np.inf) & ~((largest >= LEAST) & (largest <= MOST)))
    if len(odd):
        raise InputError(f"{path}: the largest value of {list(specs)[odd[0]]} is {largest[odd[0]]:.3g}, which no model gives "
                         f"({len(odd)} of {len(x)} such); extract it again.")
    return list(specs), x
