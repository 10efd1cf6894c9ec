"""Probes: what a simple model, trained on frozen embeddings, can tell of a class or a number. Everything is chosen on training speakers."""
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from sslspk.backend import heads, transforms
from sslspk.backend.base import as_matrix, refuse_row
from sslspk.backend.config import BackendConfig
from sslspk.backend.config_probe import ProbeConfig
from sslspk.backend.plda import Plda
from sslspk.errors import InputError, counted

PER_DIMENSION = 10  # training embeddings for each dimension that PLDA sees
Model = Callable[[np.ndarray], np.ndarray]  # embeddings (N, D) -> scores (N, C); of ridge, values (N, 1)


class Front(NamedTuple):
    """What comes before the model: x (N, D), of length 1 if asked for, becomes (x - mean) @ matrix (N, D')."""

    unit: bool
    mean: np.ndarray
    matrix: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, config: ProbeConfig) -> "Front":
        x = transforms.length_norm(x, "unit" if config.length_norm else "none")
        mean = x.mean(0) if config.centre else np.zeros(x.shape[1])
        deviation = x.std(0)
        if not (deviation > 0).any():
            raise InputError("all training embeddings are the same; look at the model that they come from.")
        matrix = np.diag(1 / np.where(deviation > 0, deviation, 1.0)) if config.standardise else np.eye(x.shape[1])
        if config.pca is not None:
            matrix = matrix @ transforms.pca((x - mean) @ matrix, config.pca).T
        elif config.classifier == "plda":
            matrix = matrix @ transforms.pca((x - mean) @ matrix, x.shape[1])[:max(1, len(x) // PER_DIMENSION)].T
        return cls(config.length_norm, mean, matrix)

    def apply(self, x: np.ndarray) -> np.ndarray:
        return (transforms.length_norm(x, "unit" if self.unit else "none") - self.mean) @ self.matrix


class Probe:
    """fit, then predict. classes_: names (C,) in the order of the columns, None for a regression; C_: the C that was used, or None;
    passes_: how many passes an mlp with validation utterances took; chosen_: C -> what the held-out training speakers gave, UA, accuracy
    (shares) or RMSE, where C was chosen."""

    def __init__(self, config: ProbeConfig | None = None):
        self.config = config or ProbeConfig()
        self.classes_, self.C_, self.passes_, self.chosen_ = None, None, None, {}

    def fit(self, x: np.ndarray, labels: Sequence, speakers: Sequence[str],
            valid: tuple[np.ndarray, Sequence[str]] | None = None) -> "Probe":
        """Learn from embeddings (N, D) with labels (N,) (class names, or numbers for ridge) that these speakers (N,) said.

        valid: embeddings (V, D) and labels (V,) to stop an mlp by.
        Raises InputError: one class, too few speakers or utterances to hold some out, a row that is not finite.
        """
        if valid is not None:
            return self._fit_by_passes(x, labels, valid)
        x, config = _checked(x, None), self.config
        if not len(x) == len(labels) == len(speakers):
            raise ValueError(f"embeddings: {len(x)}, labels: {len(labels)}, speakers: {len(speakers)}; give as many of each")
        y = np.asarray(labels, np.float64) if config.regression else self._codes(labels)
        if len(x) < 2 or (config.classifier == "knn" and len(x) < config.neighbours):
            raise InputError(f"there are {len(x)} training utterances, too few for {config.classifier}; give more, or lower neighbours.")
        held_out = _inner_folds(y, speakers, config, self.classes_) if config.is_svm or (config.has_c and config.C is None) else []
        self.C_ = self._choose(x, y, held_out) if config.has_c else None
        self._model = _train(x, y, config, self.C_)
        self._posteriors = self._platt(x, y, held_out) if config.is_svm else None
        return self

    def _fit_by_passes(self, x: np.ndarray, labels: Sequence, valid: tuple[np.ndarray, Sequence[str]]) -> "Probe":
        config = self.config
        if config.classifier != "mlp" or config.balanced:
            raise InputError("validation utterances stop an mlp whose classes count as often as they occur; set classifier=mlp and "
                             "balanced=false.")
        self._codes([*labels, *valid[1]])
        code = {name: i for i, name in enumerate(self.classes_)}
        y, held_y = (np.array([code[str(one)] for one in own], np.int64) for own in (labels, valid[1]))
        x = _checked(x, None)
        front = Front.fit(x, config)
        held = heads.Valid(front.apply(_checked(valid[0], None)), held_y)
        trained = heads.train(front.apply(x), y, len(code), held, config)
        self.passes_, self._posteriors = trained.passes, None
        self._model = lambda new: trained.model.predict_proba(front.apply(new).astype(np.float32))
        return self

    def predict(self, x: np.ndarray, names: Sequence[str] | None = None) -> np.ndarray:
        """Posteriors (N, C) of embeddings (N, D), columns as classes_; of a regression, values (N, 1).

        Raises InputError naming a row (by `names`, else by number) that is not finite, or zero.
        """
        scores = self._model(_checked(x, names))
        return scores if self._posteriors is None else self._posteriors(scores)

    def _codes(self, labels: Sequence[str]) -> np.ndarray:
        names, code = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
        if len(names) < 2:
            raise InputError(f"all training utterances are of class {names[0]}; two classes at least are needed, look at the labels."
                             if len(names) else "there is no training utterance; give some.")
        self.classes_ = names.tolist()
        return code

    def _choose(self, x: np.ndarray, y: np.ndarray, held_out: list) -> float:
        """C of the configuration, or the best of its grid over held-out training speakers."""
        config = self.config
        if config.C is not None:
            return config.C
        self.chosen_ = {c: _goodness(y, _out_of_fold(x, y, config, c, held_out), config) for c in sorted(config.grid)}
        return max(self.chosen_, key=lambda c: -self.chosen_[c] if config.regression else self.chosen_[c])

    def _platt(self, x: np.ndarray, y: np.ndarray, held_out: list) -> Model:
        """Posteriors from scores, by a logistic regression on the scores of held-out training speakers (Platt 1999)."""
        from sklearn.linear_model import LogisticRegression
        scores = _out_of_fold(x, y, self.config, self.C_, held_out)
        weight = "balanced" if self.config.balanced else None
        return LogisticRegression(class_weight=weight, max_iter=self.config.iterations).fit(scores, y).predict_proba


def _checked(x: np.ndarray, names: Sequence[str] | None) -> np.ndarray:
    x = as_matrix(x)
    refuse_row(~np.isfinite(x).all(1), names, "holds NaN or infinity")
    refuse_row(~x.any(1), names, "is zero")
    return x


def _inner_folds(y: np.ndarray, speakers: Sequence[str], config: ProbeConfig, classes: list[str] | None) -> list:
    """(training rows, held-out rows) of folds of whole speakers. Raises InputError where there are too few of anything."""
    import warnings

    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold
    count, utterances = len(set(speakers)), len(y)
    most = min(count, config.folds - 1)
    need = "C" if config.C is None else "the SVM's posteriors"
    remedy = f"--set folds=2{f' to {most}' if most > 2 else ''}" if most > 1 else "more speakers"
    remedy += ", or another classifier" if config.is_svm else ", or --set C=1"
    if count < config.folds:
        raise InputError(f"the {utterances} training utterances are of {counted(count, 'speaker')}, fewer than the {config.folds} folds "
                         f"that {need} is chosen on; give {remedy}.")
    if classes is None:
        return list(GroupKFold(config.folds).split(y, y, speakers))
    fewest = np.bincount(y).min()
    if fewest < config.folds:
        raise InputError(f"class {classes[np.bincount(y).argmin()]} has {counted(fewest, 'training utterance')}, fewer than the "
                         f"{config.folds} folds that {need} is chosen on; give {remedy}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)   # about rare classes, which are looked for below
        folds = list(StratifiedGroupKFold(config.folds, shuffle=True, random_state=config.seed).split(y, y, speakers))
    for train, held in folds:
        absent = np.setdiff1d(y, y[train])
        if len(absent) or not len(held):
            name = classes[absent[0]] if len(absent) else "any"
            raise InputError(f"the training speakers cannot be parted into {config.folds} folds for {need} so that class {name} stays in "
                             f"all training parts; give {remedy}, or another seed.")
    return folds


def _out_of_fold(x: np.ndarray, y: np.ndarray, config: ProbeConfig, c: float, held_out: list) -> np.ndarray:
    """Scores (N, C) of each utterance by a model that has not seen its speaker."""
    parts = [(held, _train(x[train], y[train], config, c)(x[held])) for train, held in held_out]
    out = np.empty((len(x), parts[0][1].shape[1]))
    for held, scores in parts:
        out[held] = scores
    return out


def _goodness(y: np.ndarray, scores: np.ndarray, config: ProbeConfig) -> float:
    """RMSE of a regression, UA of balanced classes, else accuracy."""
    if config.regression:
        return float(np.sqrt(np.mean((scores[:, 0] - y) ** 2)))
    right = scores.argmax(1) == y
    return float(np.mean([right[y == c].mean() for c in np.unique(y)]) if config.balanced else right.mean())


def _train(x: np.ndarray, y: np.ndarray, config: ProbeConfig, c: float | None) -> Model:
    """A model of embeddings x (N, D) and what comes before it: its posteriors, or the scores of an SVM (one column for each class)."""
    front = Front.fit(x, config)
    x = front.apply(x)
    kind, weight = config.classifier, "balanced" if config.balanced else None
    if kind == "plda":
        scored = _plda(x, y, config)
        return lambda new: scored(front.apply(new))
    model = _estimator(config, c, weight, len(x)).fit(_unit(x) if kind == "knn" else x, y)
    if kind == "ridge":
        return lambda new: model.predict(front.apply(new))[:, None]
    if config.is_svm:
        return lambda new: _two_columns(model.decision_function(front.apply(new)))
    if kind == "logistic":
        return lambda new: model.predict_proba(front.apply(new))
    prior = np.bincount(y) / len(y) if config.balanced else 1.0   # neither takes weights: Bayes' rule with equal priors instead

    def posteriors(new: np.ndarray) -> np.ndarray:
        new = front.apply(new)
        share = model.predict_proba(_unit(new) if kind == "knn" else new) / prior
        return share / share.sum(1, keepdims=True)
    return posteriors


def _estimator(config: ProbeConfig, c: float | None, weight: str | None, rows: int):
    """The scikit-learn model of a configuration, not yet fitted, for so many embeddings."""
    if config.classifier == "ridge":
        from sklearn.linear_model import Ridge
        return Ridge(alpha=1 / c)
    if config.classifier == "logistic":
        from sklearn.linear_model import LogisticRegression
        return LogisticRegression(C=c, class_weight=weight, max_iter=config.iterations)
    if config.classifier == "linear_svm":
        from sklearn.svm import LinearSVC
        return LinearSVC(C=c, class_weight=weight, max_iter=config.iterations, random_state=config.seed)
    if config.classifier == "rbf_svm":
        from sklearn.svm import SVC
        return SVC(C=c, class_weight=weight)
    if config.classifier == "mlp":
        from sklearn.neural_network import MLPClassifier
        return MLPClassifier(config.hidden, "identity" if config.activation == "none" else "relu", alpha=config.mlp_l2,
                             batch_size=min(config.batch_size, rows), learning_rate_init=config.lr, max_iter=config.iterations,
                             random_state=config.seed)
    from sklearn.neighbors import KNeighborsClassifier
    return KNeighborsClassifier(config.neighbours, algorithm="brute")   # of unit vectors: the order of cosines


def _plda(x: np.ndarray, y: np.ndarray, config: ProbeConfig) -> Model:
    """Posteriors by PLDA: a class is a "speaker" whose enrolment is the average of its utterances."""
    plda = Plda(BackendConfig(lda="none", length_norm="none", plda_iterations=config.plda_iterations, plda_smoothing=config.plda_smoothing))
    plda.fit(x, y)
    counts = np.bincount(y)
    enrol = transforms.class_sums(x, y) / counts[:, None]
    prior = 0.0 if config.balanced else np.log(counts / len(y))
    return lambda new: softmax(plda.score(enrol, new, counts).T + prior, axis=1)


def _unit(x: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1.0)


def _two_columns(scores: np.ndarray) -> np.ndarray:
    """Scores (N,) of the second of two classes as (N, 2), whose difference they are; of more classes, (N, C), as they are."""
    return scores if scores.ndim == 2 else np.stack([-scores, scores], 1) / 2
