"""sslspk: self-supervised, utterance-level speech embeddings. Floors and contracts: README.md, "Architecture"."""
import os
import sys

__version__ = "0.1.0"


def _explain_failed_import(kind, err, trace) -> None:
    from sslspk.versions import explain_failed_import
    explain_failed_import(kind, err, trace)


# Only in programs of this checkout, which users start: whoever imports sslspk keeps a hook of their own.
if sys.argv[0] == "-m" or os.path.realpath(sys.argv[0]).startswith(os.path.dirname(os.path.dirname(os.path.realpath(__file__))) + os.sep):
    sys.excepthook = _explain_failed_import
