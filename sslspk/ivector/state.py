"""The state of a training on disk, an npz written atomically after every iteration; and arrays mapped into memory."""
import io
import math
import os
import tokenize
import zipfile
from pathlib import Path

import numpy as np

from sslspk import reading
from sslspk.errors import InputError, named, shown
from sslspk.io.files import atomic_write

Arrays = dict[str, np.ndarray]
STATE, FINAL = "state.npz", "final.npz"
HEADER_BYTES = 16 << 10
NUMBERS, TEXT = "fiu", "text"
DAMAGED = (OSError, ValueError, EOFError, KeyError, TypeError, NotImplementedError, SyntaxError, RecursionError, tokenize.TokenError,
           zipfile.BadZipFile)


def save(path: Path, **arrays: np.ndarray) -> None:
    """Write an npz. Raises InputError if an array holds NaN or infinity: such a state must not replace a good one."""
    odd = next((name for name, array in arrays.items() if array.dtype.kind == "f" and not np.isfinite(array).all()), None)
    if odd:
        raise InputError(f"{named(path)}: the {odd} became NaN or infinite, so nothing was written; look at the features, and lower the "
                         "number of Gaussians or raise variance_floor.")
    with atomic_write(path, "wb") as file:
        np.savez(file, **arrays)


def load(path: Path, **shapes: str) -> Arrays:
    """The arrays of an npz. shapes: name -> shape of each array that it must hold.

    "C D" is a matrix, where the same letter means the same size in all arrays; "text" is a string, "C D|C D D" allows both shapes, and a
    "?" at the end makes the array optional. Raises InputError naming the file when it is missing or damaged, or when an array is
    missing, has another shape, or is not finite.
    """
    remedy = "remove it and run the step that makes it again"
    with open(reading.descriptor(path, "run the step that makes it"), "rb") as file:
        try:
            _check_members(file)
            file.seek(0)
            with np.load(file) as content:
                arrays = {name: content[name] for name in content.files}
        except DAMAGED as err:
            raise InputError(f"{named(path)} is no whole model ({str(err).partition(chr(10))[0][:80]}); {remedy}.") from err
    sizes: dict[str, int] = {}
    for name, form in shapes.items():
        fault = _fault(name, arrays.get(name), form, sizes)
        if fault:
            raise InputError(f"{named(path)} is no whole model ({fault}); {remedy}.")
    return arrays


def _check_members(file) -> None:
    """Check that an npz holds what its headers promise. Raises ValueError, and what zipfile raises."""
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED or not member.filename.endswith(".npy"):
                raise ValueError("not written by this program")
            with archive.open(member) as array:
                _check_header(array.read(HEADER_BYTES), member.file_size)


def _check_header(head: bytes, size: int) -> None:
    """Raises ValueError if an npy file of `size` bytes, which begins with `head`, does not hold as much data as its header says."""
    file = io.BytesIO(head)
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError("an unknown version of the format")
    shape, _, dtype = readers[version](file)
    if dtype.kind not in NUMBERS + "U" or min(shape, default=0) < 0:
        raise ValueError(f"{shown(str(dtype), 30)} in place of numbers")
    if math.prod(shape) * dtype.itemsize != size - file.tell():
        raise ValueError("the header promises another number of bytes")


def _fault(name: str, array: np.ndarray | None, form: str, sizes: dict[str, int]) -> str | None:
    if array is None:
        return None if form.endswith("?") else f"it has no {name}"
    if form == TEXT:
        return None if array.dtype.kind == "U" and not array.ndim else f"{name} is no text"
    if array.dtype.kind not in NUMBERS:
        return f"{name} holds no numbers"
    for letters in (option.split() for option in form.rstrip("?").split("|")):
        known = {**dict(zip(letters, array.shape, strict=False)), **sizes}
        if tuple(known[letter] for letter in letters if letter in known) == array.shape and len(letters) == array.ndim:
            sizes.update(known)
            return None if np.isfinite(array).all() else f"{name} holds NaN or infinity"
    return f"{name} has the shape {array.shape}"


def check_mixture(path: Path, weights: np.ndarray, covariances: np.ndarray) -> None:
    """Raises InputError if a file's weights (C,), variances (C, D) or covariances (C, D, D) are not positive (definite)."""
    if not (weights > 0).all():
        raise InputError(f"{named(path)} is no whole model (a weight is not above 0); remove it and run the step that makes it again.")
    try:
        good = bool((covariances > 0).all()) if covariances.ndim == 2 else bool(np.linalg.cholesky(covariances).size)
    except np.linalg.LinAlgError:
        good = False
    if not good:
        raise InputError(f"{named(path)} is no whole model (covariances are not positive definite); remove it and run the step that makes "
                         "it again.")


def info(path: Path, arrays: Arrays, name: str) -> dict:
    """The JSON object in the string `name` of a file. Raises InputError naming the file."""
    found = reading.json_value(str(arrays[name]), f"{named(path)}: its {name}", "remove it and run the step that makes it again")
    if not isinstance(found, dict):
        raise InputError(f"{named(path)} is no whole model ({name} is no JSON object); remove it and run the step that makes it again.")
    return found


def mapped(path: str | os.PathLike, shape: tuple[int | None, ...]) -> np.ndarray:
    """An npy file, mapped into memory. shape: required sizes, None for any size. Raises InputError naming a file that is not whole."""
    remedy = "run the step that makes it again"
    with open(reading.descriptor(path, remedy), "rb") as file:
        try:
            _check_header(file.read(HEADER_BYTES), os.fstat(file.fileno()).st_size)
            array = np.load(path, mmap_mode="r")
        except DAMAGED as err:
            raise InputError(f"{named(path)} is not whole ({str(err).partition(chr(10))[0][:80]}); {remedy}.") from err
    if len(shape) != array.ndim or any(wanted not in (None, found) for wanted, found in zip(shape, array.shape, strict=True)):
        raise InputError(f"{named(path)} has the shape {array.shape}, which does not match the others; {remedy}.")
    return array


def resume(folder: Path, key: str, **shapes: str) -> Arrays | None:
    """The arrays after the last whole iteration; None if there was none. Raises InputError if it ran with another `key`."""
    path = folder / STATE
    if not os.path.lexists(path):
        return None
    arrays = load(path, key=TEXT, done="", **shapes)
    if str(arrays["key"]) != key:
        raise InputError(f"{path} is of a training with other options or on other data; remove it, or train into another directory.")
    return arrays


def finish(folder: Path, **arrays: np.ndarray) -> None:
    """Write the model and remove the state."""
    save(folder / FINAL, **arrays)
    if os.path.exists(folder / STATE):
        os.unlink(folder / STATE)
