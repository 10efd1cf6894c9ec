"""Back-ends: what happens between embeddings and scores. `build("cosine")` makes one; adding one is a file and a line here."""
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sslspk.backend.base import Backend

NAMES = ("cosine",)


def build(name: str) -> "Backend":
    """An unfitted back-end by its name. Raises InputError for a name that is not in NAMES."""
    if name == "cosine":
        from sslspk.backend.cosine import Cosine
        return Cosine()
    from sslspk.errors import InputError
    raise InputError(f"there is no back-end {name}; choose one of {', '.join(NAMES)}.")
