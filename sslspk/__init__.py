"""sslspk: self-supervised, utterance-level speech embeddings. docs/architecture.md lists the packages.

    model = sslspk.load("final.pt")       # a trained model
    model.embed("a.wav")                  # (D,)
    model.compare("a.wav", "b.wav")       # how alike two voices are
"""
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sslspk.api.comparison import Comparison
    from sslspk.api.model import Model, Windows, load
    from sslspk.errors import InputError

__version__ = "0.1.0"
__all__ = ["Comparison", "InputError", "Model", "Windows", "__version__", "load"]


def __getattr__(name: str) -> object:
    """The names of __all__, found when they are first used: importing sslspk takes no time, using a model loads torch."""
    if name == "InputError":
        from sslspk import errors
        return errors.InputError
    if name == "Comparison":
        from sslspk.api import comparison
        return comparison.Comparison
    if name in ("Model", "Windows", "load"):
        from sslspk.api import model
        return getattr(model, name)
    raise AttributeError(f"module 'sslspk' has no attribute {name!r}")


def _explain_failed_import(kind, err, trace) -> None:
    from sslspk.versions import explain_failed_import
    explain_failed_import(kind, err, trace)


# Only for programs of this checkout. A program of somebody else that imports sslspk keeps its own hook.
if sys.argv[0] == "-m" or os.path.realpath(sys.argv[0]).startswith(os.path.dirname(os.path.dirname(os.path.realpath(__file__))) + os.sep):
    sys.excepthook = _explain_failed_import
