"""Classifiers of fully connected layers on embeddings, trained pass by pass as networks are, with validation utterances to stop by."""
import copy
import math
from typing import NamedTuple

import numpy as np

from sslspk.backend.config_probe import ProbeConfig
from sslspk.errors import InputError


class Valid(NamedTuple):
    """Embeddings (N, D) that are not learnt from, and the numbers of their classes (N,)."""

    x: np.ndarray
    y: np.ndarray


class Trained(NamedTuple):
    """scikit-learn's classifier, the passes it took, and the validation losses (nats) after each."""

    model: object
    passes: int
    losses: list[float]


def train(x: np.ndarray, y: np.ndarray, classes: int, valid: Valid, config: ProbeConfig) -> Trained:
    """Adam on the cross-entropy of x (N, D), y (N,) with numbers below `classes`, whether each occurs or not.

    At most config.iterations passes, no more than config.patience of them after the one with the lowest loss on `valid`, whose weights
    are those of the result. Everything random comes from config.seed. Raises InputError where the weights do not stay finite.
    """
    from sklearn.neural_network import MLPClassifier
    model = MLPClassifier(config.hidden, activation="identity" if config.activation == "none" else "relu", alpha=config.mlp_l2,
                          batch_size=min(config.batch_size, len(x)), learning_rate_init=config.lr,
                          random_state=np.random.RandomState(config.seed))   # one generator for all passes: each has an order of its own
    x, seen = np.asarray(x, np.float32), valid.x.astype(np.float32)
    losses, best, weights = [], 0, None
    while len(losses) < config.iterations and len(losses) - best < (config.patience or math.inf):
        try:
            model.partial_fit(x, y, classes=np.arange(classes))
        except ValueError as err:   # what scikit-learn raises where a number is not finite
            raise InputError(f"an mlp's weights are not finite after {len(losses)} passes; give a smaller lr, or standardise.") from err
        right = model.predict_proba(seen)[np.arange(len(seen)), valid.y].astype(np.float64)
        losses.append(float(-np.log(np.maximum(right, np.finfo(np.float32).tiny)).mean()))
        if weights is None or losses[-1] < losses[best - 1]:
            best, weights = len(losses), copy.deepcopy((model.coefs_, model.intercepts_))
    model.coefs_, model.intercepts_ = weights
    return Trained(model, best, losses)
