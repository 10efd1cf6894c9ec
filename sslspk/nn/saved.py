"""Reads files of torch.save that may be malicious: runs none of their code, and needs no more memory than their size."""
import os
import pickle
import pickletools
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping

import torch
from torch import Tensor

from sslspk import reading

PICKLE_BYTES = 64 << 20
# All that the pickle of a dictionary of tensors, numbers, text, lists and sets may name.
NAMES = re.compile(r"collections OrderedDict|torch\._utils _rebuild_(tensor_v2|parameter)|(__builtin__|builtins) set"
                   r"|torch [A-Za-z0-9]+Storage")
# What torch.load and zipfile raise on arbitrary bytes.
UNREADABLE = (RuntimeError, EOFError, OSError, LookupError, ValueError, TypeError, AttributeError, AssertionError, NotImplementedError,
              struct.error, zlib.error, pickle.UnpicklingError, zipfile.BadZipFile)


class Unreadable(Exception):
    """A file that is damaged, or that torch.save did not write. The message says why; the caller adds the file and the remedy."""


class HoldsObjects(Unreadable):
    """A file with Python objects other than tensors and plain values; loading them could run code."""


def read(path: str | os.PathLike, remedy: str, device: str | torch.device = "cpu", legacy: bool = False) -> object:
    """What the file holds. legacy: also accept the format of torch before 1.6, which has no checksums.

    Raises Unreadable, OSError when the file cannot be read now, and InputError when it is missing or not a regular file.
    """
    with open(reading.descriptor(path, remedy), "rb") as file:
        whole = False
        try:
            whole = zipfile.is_zipfile(file)   # may raise, despite its name
            if whole:
                _check_zip(file)
            elif not legacy:
                raise Unreadable("no file that torch.save wrote, or cut short")
            return torch.load(path, map_location=device, weights_only=True)
        except UNREADABLE as err:
            raise _why(err, whole) from err


def _why(err: Exception, whole: bool) -> Exception:
    """The exception to raise for `err`. whole: the archive is undamaged, so that foreign objects are no sign of damage."""
    if isinstance(err, OSError) and err.errno is not None:
        return err
    if isinstance(err, RuntimeError) and "allocate memory" in str(err):
        return MemoryError()
    if isinstance(err, pickle.UnpicklingError) or "weights_only" in str(err):   # torch's text advises to run the code
        return HoldsObjects("objects that are no tensors") if whole else Unreadable("UnpicklingError: not a file that torch.save wrote")
    text = str(err).partition("\n")[0].rstrip(". ")
    return Unreadable(f"{type(err).__name__}: {text[:60]}")


def _check_zip(file) -> None:
    """Check checksums, sizes, and the names in the pickle before torch reads the file."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size for member in members):
            raise Unreadable("compressed, which torch.save never does")
        if sum(member.file_size for member in members) > os.fstat(file.fileno()).st_size:
            raise Unreadable("parts that lie over each other")
        damaged = archive.testzip()
        if damaged:
            raise zipfile.BadZipFile(f"checksum of {damaged[:60]}")
        pickles = [member for member in members if member.filename.endswith("/data.pkl")]
        if len(pickles) != 1 or pickles[0].file_size > PICKLE_BYTES:
            raise Unreadable("no file that torch.save wrote")
        for operation, argument, _ in pickletools.genops(archive.read(pickles[0])):
            if operation.name in ("STACK_GLOBAL", "INST", "OBJ") or (operation.name == "GLOBAL" and not NAMES.fullmatch(argument)):
                raise HoldsObjects(str(argument or "objects").replace(" ", ".")[:60])


def is_state(content: object) -> bool:
    """Whether this is a state_dict: names and tensors, no tensor larger than its storage."""
    return isinstance(content, Mapping) and all(isinstance(key, str) and isinstance(value, Tensor) and value.layout == torch.strided
                                                and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
                                                for key, value in content.items())


def not_finite(state: Mapping[str, Tensor]) -> str | None:
    """The first tensor of a state_dict that holds NaN or infinity."""
    return next((key for key, value in state.items() if value.is_floating_point() and not bool(value.isfinite().all())), None)


def misfit(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str | None:
    """Why a state_dict cannot replace `own`: the first name, shape or number type that differs; None if it can."""
    missing, extra = [key for key in own if key not in state], [key for key in state if key not in own]
    if missing:
        return f"{missing[0]} is missing" + (f", and {len(missing) - 1} more" if len(missing) > 1 else "")
    if extra:
        return f"{extra[0][:80]} is no key of it" + (f", nor are {len(extra) - 1} more" if len(extra) > 1 else "")
    for key, value in own.items():
        if state[key].shape != value.shape:
            return f"{key} has the shape {tuple(state[key].shape)} in place of {tuple(value.shape)}"
        if state[key].dtype != value.dtype and not (state[key].is_floating_point() and value.is_floating_point()):
            return f"{key} is {str(state[key].dtype).removeprefix('torch.')} in place of {str(value.dtype).removeprefix('torch.')}"
    return None
