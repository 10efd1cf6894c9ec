"""What a loader makes of a machine that lacks descriptors or shared memory: one sentence, never a hang."""
import errno
import gc
import os
import resource
import signal
from types import SimpleNamespace

import pytest
import torch

from sslspk.data.loader import make_loader
from sslspk.errors import InputError, MachineError


class Batches(torch.utils.data.Dataset):
    """`act` runs in the worker before each batch is handed over."""

    index = SimpleNamespace(keys=["u"], unit=lambda unit: (0,), spec=lambda utt: "u.wav")

    def __init__(self, act):
        self.act = act

    def __len__(self):
        return 1000

    def __getitem__(self, i):
        self.act(i)
        return {"x": torch.zeros(50000)}


def limit(kind, value):
    resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))


def no_descriptors(i):
    limit(resource.RLIMIT_NOFILE, len(os.listdir("/proc/self/fd")) - 1)


def no_room(i):
    limit(resource.RLIMIT_FSIZE, 1000)


def cannot_open(i):
    raise MachineError("x.wav cannot be opened (Too many open files): raise their number.")


def bad_noise(i):
    raise InputError("n.wav is truncated; copy it again.")


@pytest.fixture(autouse=True)
def restored():
    kept = {kind: resource.getrlimit(kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE)}
    torchs = signal.getsignal(signal.SIGCHLD)
    yield
    for kind, values in kept.items():
        resource.setrlimit(kind, values)
    signal.signal(signal.SIGCHLD, torchs)


@pytest.mark.parametrize(("act", "kind", "said"), [
    (no_descriptors, MachineError, "^data workers: too few file descriptors; raise their number"),
    (no_room, MachineError, r"^/dev/shm is full, .*train with --set data\.workers=0"),
    (cannot_open, MachineError, r"^x.wav cannot be opened \(Too many open files\): raise their number\.$"),
    (bad_noise, InputError, r"^n.wav is truncated; copy it again\.$"),
])
def test_what_a_worker_lacks_is_told(act, kind, said):
    with pytest.raises(kind, match=said):
        next(make_loader(Batches(act), 0, 100, workers=1, pin=False, timeout=60))


def test_what_a_worker_leaves_in_shared_memory_is_removed():
    """torch leaves the file that it was making as the disk was full."""
    def half_made(i):
        open(f"/dev/shm/torch_{os.getpid()}_4_0", "x").close()
        no_room(i)

    with pytest.raises(MachineError, match=r"^/dev/shm is full"):
        next(make_loader(Batches(half_made), 0, 100, workers=1, pin=False, timeout=60))
    assert not [name for name in os.listdir("/dev/shm") if name.endswith("_4_0") and name.startswith("torch_")]


def test_too_few_descriptors_of_the_program_itself_are_told():
    """Each batch that it holds is one more."""
    batches = make_loader(Batches(lambda i: None), 0, 100, workers=1, pin=False, timeout=60)
    held = [next(batches)]
    limit(resource.RLIMIT_NOFILE, len(os.listdir("/proc/self/fd")) + 5)
    with pytest.raises(MachineError, match="too few file descriptors"):
        for batch in batches:
            held.append(batch)


@pytest.mark.parametrize("more", range(0, 8))
def test_a_loader_that_cannot_start_its_workers_says_so_without_a_traceback(monkeypatch, more):
    """torch's destructor of what was half made fails, too, wherever it stopped."""
    unraisable = []
    monkeypatch.setattr("sys.unraisablehook", unraisable.append)
    gc.collect()   # what earlier tests left would give its descriptors back in between
    free = os.open("/dev/null", os.O_RDONLY)
    os.close(free)
    limit(resource.RLIMIT_NOFILE, free + more)
    with pytest.raises(MachineError, match="too few file descriptors"):
        make_loader(Batches(lambda i: None), 0, 100, workers=2, pin=False, timeout=60)
    assert not unraisable


def test_no_room_for_the_locks_of_workers_is_told(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("_multiprocessing.SemLock", full)
    with pytest.raises(MachineError, match=r"^/dev/shm is full"):
        make_loader(Batches(lambda i: None), 0, 100, workers=2, pin=False, timeout=60)
