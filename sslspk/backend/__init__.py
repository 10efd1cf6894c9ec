"""Back-ends: from embeddings to scores. `build("cosine")` makes one; adding one is a file and a line here."""
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sslspk.backend.base import Backend
    from sslspk.backend.config import BackendConfig

NAMES = ("cosine", "lda", "plda")


def build(name: str, config: "BackendConfig | None" = None) -> "Backend":
    """An unfitted back-end by its name. Raises InputError for a name that is not in NAMES."""
    if name == "cosine":
        from sslspk.backend.cosine import Cosine
        return Cosine()
    if name == "lda":
        from sslspk.backend.lda import Lda
        return Lda(config)
    if name == "plda":
        from sslspk.backend.plda import Plda
        return Plda(config)
    from sslspk.errors import InputError
    raise InputError(f"there is no back-end {name}; choose one of {', '.join(NAMES)}.")


def load(folder: str, name: str) -> "Backend":
    """The fitted back-end `name` (lda, plda) from a folder that steps/train_backend.sh wrote, or that holds Kaldi's mean.vec, transform.mat
    and plda. One folder may serve both. Raises InputError naming what is missing."""
    return type(build(name)).load(folder)


def labels_seen(folder: str) -> str:
    """Which labels the back-end of a folder learnt from: what info.json says (none, pseudo, speaker); "speaker" if there is no info.json:
    files of Kaldi are assumed to come from true labels. Raises InputError when info.json does not say."""
    from sslspk.errors import InputError
    from sslspk.io import results
    path = os.path.join(folder, "info.json")
    labels = results.origin(path).get("labels") if os.path.exists(path) else "speaker"
    if labels not in ("none", "pseudo", "speaker"):
        raise InputError(f"{path} does not say which labels the back-end saw; run steps/train_backend.sh again.")
    return labels
