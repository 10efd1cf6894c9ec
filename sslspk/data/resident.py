"""Noises and rooms in the memory of the device that trains, where the loader's processes send places (data.places) instead of samples."""
import os
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sslspk.data import noise
from sslspk.data.places import BLOCK, Layout, Sources
from sslspk.errors import InputError

SHARE = 0.1   # of the free memory of a GPU that recordings may take without being asked for
FIELDS = ("noise", "speech", "rir")   # of noise.Draw: those that have samples


class Recordings:
    """All noises and rooms as one int16 tensor on the device."""

    def __init__(self, samples: Tensor, rir_length: int):
        self.samples, self.rir_length = samples, rir_length

    def heard(self, crop: dict[str, Tensor], size: int) -> dict[str, Tensor]:
        """A batch's crop of `size` samples, its places (N,3) replaced by the samples there, int16 (N, size or rir_length)."""
        return {key: self._at(value, self.rir_length if key == "rir" else size) if key in FIELDS and value.dtype == torch.int64 else value
                for key, value in crop.items()}

    def _at(self, places: Tensor, size: int) -> Tensor:
        first, period, shift = places[:, :, None].unbind(1)
        return self.samples[first + (torch.arange(size, device=places.device) - shift) % period]


def keep(bank: noise.NoiseBank, device: torch.device, say: Callable[[str], None]) -> Recordings | None:
    """Load the bank's recordings into the device's memory where augment.on_device says so; the bank then draws places in them.

    None: they stay on the disk. say: gets a line before they are read, which may take minutes, or if there is too little memory.
    Raises InputError where they are asked for and do not fit, or one cannot be read.
    """
    sources = bank.sources()
    size = 2 * Layout(sources).size if sources else 0
    if not size or not _wanted(size, bank.config.on_device, device, say):
        return None
    say(f"reading {size / 1e9:.3g} GB of noises and rooms into the memory of {device}")
    bank.layout, samples = _load(sources, device)
    return Recordings(samples, bank.rir_length)


def _wanted(needed: int, asked: bool | None, device: torch.device, say: Callable[[str], None]) -> bool:
    """Whether to load recordings of so many bytes. asked: augment.on_device."""
    if asked is False or (asked is None and device.type != "cuda"):
        return False
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if asked and needed > free:
        raise InputError(f"augment.on_device: noises and rooms take {needed / 1e9:.3g} GB, and {device} has {free / 1e9:.3g} GB; set it to "
                         "false.")
    if asked or needed <= SHARE * free:
        return True
    say(f"noises and rooms take {needed / 1e9:.3g} GB, more than a tenth of the {free / 1e9:.3g} GB free on {device}: the loader reads "
        "them; augment.on_device=true keeps them there all the same.")
    return False


def _load(sources: Sources, device: torch.device) -> tuple[Layout, Tensor]:
    """Read all recordings: where they lie, and their samples on the device, int16 (size,)."""
    layout = Layout(sources)
    samples = torch.zeros(layout.size, dtype=torch.int16, device=device)
    for folder, (index, most) in sources.items():
        for which, first in enumerate(layout.first[folder].tolist()):
            count = int(index.length[which]) if most is None else min(int(index.length[which]), most)
            blocks = np.zeros((-(-count // BLOCK), BLOCK), np.int16)
            blocks.reshape(-1)[:count] = noise.read(index, which, 0, count)
            samples[first:first + blocks.size] = torch.from_numpy(blocks.reshape(-1))
            wave, at = blocks.astype(np.float32), first // BLOCK + 1
            layout.energy[at:at + len(blocks)] = np.einsum("ij,ij->i", wave, wave)
    layout.energy.cumsum(out=layout.energy)
    return layout, samples
