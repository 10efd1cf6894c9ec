"""Averages of embeddings over groups: enrolment with several utterances, and cohorts of cluster means."""
from collections.abc import Mapping, Sequence

import numpy as np

from sslspk.backend.base import as_matrix
from sslspk.errors import InputError


def average(groups: Mapping[str, Sequence[str]], names: Sequence[str], x: np.ndarray, *,
            source: str = "the map", where: str = "the embeddings") -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names of the G groups, the average raw embedding of each (G, D) float64, and the number of its utterances (G,) int64.

    groups: name -> its utterances; names: the ids of the rows of x (N, D). source, where: what the groups and the embeddings
    are read from, for the messages. Kaldi's way (ivector-mean): raw embeddings are averaged, the back-end transforms the average.
    Raises InputError naming a group without utterances, one with the same utterance twice, or an utterance without embedding.
    """
    from scipy import sparse
    x = as_matrix(x)
    row = dict(zip(names, range(len(names)), strict=True))
    for group, utts in groups.items():
        missing = next((utt for utt in utts if utt not in row), None)
        if missing is not None:
            raise InputError(f"{source}: {group} names {missing}, which is not in {where}; correct the line, or extract it.")
        if not utts:
            raise InputError(f"{source}: {group} has no utterance; give it at least one, or remove the line.")
        if len(set(utts)) < len(utts):
            twice = next(utt for utt in utts if utts.count(utt) > 1)
            raise InputError(f"{source}: {group} names {twice} twice; remove one of them.")
    counts = np.array([len(utts) for utts in groups.values()], np.int64)
    columns = np.array([row[utt] for utts in groups.values() for utt in utts], np.int64)
    share = np.repeat(1.0 / np.maximum(counts, 1), counts)
    weights = sparse.csr_matrix((share, columns, np.append(0, np.cumsum(counts))), shape=(len(groups), len(names)))
    return list(groups), np.asarray(weights @ x), counts
