"""Back-ends: what happens between embeddings and scores. `build("cosine")` makes one; adding one is a file and a line here."""
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
