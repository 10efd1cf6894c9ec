"""Where a training stands, on disk: one npz after every iteration, written whole or not at all."""
import os
import zipfile
from pathlib import Path

import numpy as np

from sslspk.errors import InputError
from sslspk.io.files import atomic_write

Arrays = dict[str, np.ndarray]
STATE, FINAL = "state.npz", "final.npz"


def save(path: Path, **arrays: np.ndarray) -> None:
    """Write an npz."""
    with atomic_write(path, "wb") as file:
        np.savez(file, **arrays)


def load(path: Path) -> Arrays:
    """All arrays of an npz. Raises InputError naming it when it is missing or damaged."""
    try:
        with np.load(path) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        raise InputError(f"{path} is missing; run the step that makes it.") from None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as err:
        raise InputError(f"{path} is no whole model ({err}); remove it and run the step that makes it again.") from err


def resume(folder: Path, key: str) -> Arrays | None:
    """The arrays of the last whole iteration; None where nothing was begun. Raises InputError when it was with another `key`."""
    path = folder / STATE
    if not path.exists():
        return None
    arrays = load(path)
    if str(arrays["key"]) != key:
        raise InputError(f"{path} is of a training with other options or on other data; remove it, or train into another directory.")
    return arrays


def finish(folder: Path, **arrays: np.ndarray) -> None:
    """Write the model; the state is then no longer needed."""
    save(folder / FINAL, **arrays)
    if os.path.exists(folder / STATE):
        os.unlink(folder / STATE)
