"""The loader: micro-steps in order from any start, several worker processes, pinned memory for a GPU."""
import atexit
import contextlib
import errno
import functools
import gc
import glob
import multiprocessing
import multiprocessing.queues
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator

import torch

from sslspk.data.views import IDLE
from sslspk.errors import DESCRIPTORS, InputError, MachineError

SILENT = "no batch came"
NO_DESCRIPTORS, NO_SHARED_MEMORY = -2, -3   # in place of the recording that a worker reads
LACKS = {NO_DESCRIPTORS: f"data workers: {DESCRIPTORS}.",
         NO_SHARED_MEMORY: "/dev/shm is full, and data workers hand over batches there; free some of it, or train with --set "
                           "data.workers=0; the same command resumes."}


MOST = 8   # loader processes that a rank starts unless told otherwise: more have not been needed, and each holds batches in /dev/shm
AHEAD = 8  # batches that all processes of a rank read ahead together, where they are few


def processes(wanted: int | None, device: torch.device) -> int:
    """How many loader processes a rank on `device` starts: as many as `wanted` (data.workers), or by the cores of the job.

    The cores are those that the scheduler lets this process use, shared by the ranks of this machine. On a CPU a rank needs some of its
    share itself, one for each thread; on a GPU one, and the loader gets one in any case.
    """
    if wanted is not None:
        return wanted
    mine = len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return min(max(mine - torch.get_num_threads(), 0) if device.type == "cpu" else max(mine - 1, 1), MOST)


def make_loader(dataset: torch.utils.data.Dataset, start: int, stop: int, workers: int, pin: bool, timeout: int = 0) -> "Batches":
    """Items start .. stop-1 of a dataset of whole batches: micro-steps of BatchDataset, or PlainCrops. The workers start at once.

    `dataset` must not hold open files: each worker opens its own. timeout: seconds after which a silent worker is given up, 0: never.
    Raises InputError naming what a worker was reading that died or is silent, MachineError where workers cannot be started.
    """
    try:
        return _started(dataset, range(start, stop), workers, pin, timeout)
    except OSError as err:
        lacks = LACKS[NO_SHARED_MEMORY] if err.errno == errno.ENOSPC else _lacks(err)
        if not workers or not lacks:
            raise
        _forget_half_made(err)
    raise MachineError(lacks)


def _started(dataset: torch.utils.data.Dataset, items: range, workers: int, pin: bool, timeout: int) -> "Batches":
    start_worker = reading = None
    if workers:
        ending = multiprocessing.Event()
        atexit.register(ending.set)
        reading = multiprocessing.RawArray("q", [0, IDLE] * workers)   # of each worker its process id and the utterance it reads
        start_worker = functools.partial(_start_worker, ending, reading)
    loader = torch.utils.data.DataLoader(
        dataset, sampler=items, batch_size=None, num_workers=workers, pin_memory=pin,
        prefetch_factor=max(AHEAD // workers, 2) if workers else None, worker_init_fn=start_worker)
    return Batches(iter(loader), dataset, reading, timeout if workers else 0)


def _forget_half_made(err: OSError) -> None:
    """Let go of the loader that torch could not start; its destructor misses what was not made yet, and would show a traceback."""
    told, sys.unraisablehook = sys.unraisablehook, lambda _: None
    traceback.clear_frames(err.__traceback__)
    sys.unraisablehook = told


class Batches:
    """What `make_loader` returns."""

    def __init__(self, batches: Iterator[dict], dataset: torch.utils.data.Dataset, reading, timeout: int):
        self.batches, self.dataset, self.reading, self.timeout = batches, dataset, reading, timeout

    def __iter__(self) -> Iterator[dict]:
        return self

    def __next__(self) -> dict:
        try:
            with _at_most(self.timeout):
                return next(self.batches)
        except (InputError, MachineError) as err:   # in a worker: torch puts its traceback before the sentence
            raise type(err)(str(err).strip().rpartition("\n")[2].rpartition(f"{type(err).__name__}: ")[2]) from None
        except (RuntimeError, OSError, EOFError) as err:   # the end of a worker may first show in a pipe that it used
            self._explain(err)
            raise

    @contextlib.contextmanager
    def explained(self):
        """While these batches are worked on: a worker's death interrupts the trainer wherever it is, and is raised as
        InputError all the same."""
        try:
            yield
        except RuntimeError as err:
            if "DataLoader worker" in str(err):
                self._explain(err)
            raise

    def _explain(self, err: Exception) -> None:
        """Raises InputError or MachineError, and ends all workers, when `err` came of a worker of this loader."""
        workers = dict(zip(self.reading[0::2], self.reading[1::2], strict=True)) if self.reading else {}
        what = str(err).splitlines()[0] if str(err) else type(err).__name__
        named = {int(pid) for pid in re.findall(r"\d+", what.partition(")")[0])} if what.startswith("DataLoader worker (pid") else set()
        if named and not named & set(workers) and 0 not in workers:   # 0: one that has not told its process id yet
            return   # another loader's
        try:
            torchs = signal.signal(signal.SIGCHLD, signal.SIG_DFL)   # which raises whenever a worker is killed
        except RuntimeError:   # just now
            torchs = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        known = what.startswith((SILENT, "DataLoader worker"))   # which may have died before it could tell its process id
        lacks = _lacks(err) if workers else None
        died = _dead(set(workers), seconds=0 if what.startswith(SILENT) or lacks else 5)
        lacks = lacks or next((LACKS[unit] for unit in self.reading[1::2] if unit in LACKS), None) if workers else None
        if died or known or lacks:
            _kill_workers()
            _unlink_shared({pid for pid in workers if pid})
        signal.signal(signal.SIGCHLD, torchs)
        if lacks:
            raise MachineError(lacks) from err
        if died or known:
            units = [unit for pid, unit in workers.items() if pid in died or not died]
            raise InputError(_sentence(self.dataset, units, what)) from err


@contextlib.contextmanager
def _at_most(seconds: int):
    """RuntimeError when the block takes longer; 0: no limit. By an alarm, since torch's own time-out does not see a worker that hangs
    while it hands a batch over."""
    if not seconds or threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(signum, frame):
        raise RuntimeError(f"{SILENT} for {seconds} seconds")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _dead(workers: set[int], seconds: float) -> set[int]:
    """The process ids of workers that have ended; a pipe breaks a little before its process is gone, hence `seconds` to wait."""
    end = time.monotonic() + seconds
    while True:
        died = workers - {0} - {process.pid for process in multiprocessing.active_children()}
        if died or not workers or time.monotonic() >= end:
            return died
        time.sleep(0.05)


def _kill_workers() -> None:
    """End all that are left, with a known process id or not: one that hangs hears nothing else, and the program would wait for it."""
    for process in multiprocessing.active_children():
        process.kill()
        process.join()


def _unlink_shared(pids: set[int]) -> None:
    """What torch leaves in /dev/shm of workers that died, or found it full, while they made a file there."""
    for pid in pids:
        for path in glob.glob(f"/dev/shm/torch_{pid}_*"):
            with contextlib.suppress(OSError):
                os.unlink(path)


def _sentence(dataset: torch.utils.data.Dataset, units: Iterable[int], what: str) -> str:
    index, named = dataset.index, []
    for unit in units:
        if unit >= 0:
            utt = int(index.unit(unit)[0])
            named.append(f"{index.keys[utt]} ({index.spec(utt)})")
    place = f"while it read {', '.join(named)}" if named else "between two utterances"
    return (f"a data worker failed ({what.rstrip('. ')}) {place}; look at that utterance and its disk, and lower data.workers if memory "
            "is short; the same command resumes from the last checkpoint.")


def _lacks(err: BaseException) -> str | None:
    """The sentence for an error that comes of a machine without descriptors or shared memory; None: of something else."""
    text = str(err)
    if getattr(err, "errno", None) in (errno.EMFILE, errno.ENFILE) or any(sign in text for sign in ("Too many open files", "ancdata")):
        return LACKS[NO_DESCRIPTORS]
    return LACKS[NO_SHARED_MEMORY] if any(sign in text for sign in ("shared memory", "(shm)", "</torch_", "Bus error")) else None


def _start_worker(ending, reading, worker: int) -> None:
    """One thread. A signal that asks the whole job to stop is handled by the trainer, which still needs batches; workers ignore it
    until the trainer exits. A worker notes what it reads, so that its death can be explained."""
    torch.set_num_threads(1)
    gc.enable()   # which the trainer has turned off
    reading[2 * worker] = os.getpid()

    def note(unit: int) -> None:
        reading[2 * worker + 1] = unit

    torch.utils.data.get_worker_info().dataset.note = note

    def give_up(err, batch) -> None:
        """Without this, the trainer would wait for ever for a batch that cannot be handed over."""
        lacks = _lacks(err)
        note(next((code for code, sentence in LACKS.items() if sentence == lacks), IDLE))
        print(f"a data worker cannot hand over a batch: {err}", file=sys.stderr, flush=True)
        os._exit(1)

    multiprocessing.queues.Queue._on_queue_feeder_error = staticmethod(give_up)   # in this process alone

    def obey(signum, frame):
        if ending.is_set():
            os._exit(0)

    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, obey)
