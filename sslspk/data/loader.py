"""The loader: micro-steps in order from any start, several worker processes, pinned memory for a GPU."""
import atexit
import functools
import multiprocessing
import os
import signal

import torch


def make_loader(dataset: torch.utils.data.Dataset, start: int, stop: int, workers: int, pin: bool) -> torch.utils.data.DataLoader:
    """Items start .. stop-1 of a dataset of whole batches: micro-steps of BatchDataset, or PlainCrops.

    `dataset` must not hold open files: each worker opens its own.
    """
    start_worker = None
    if workers:
        ending = multiprocessing.Event()
        atexit.register(ending.set)
        start_worker = functools.partial(_start_worker, ending)
    return torch.utils.data.DataLoader(
        dataset, sampler=range(start, stop), batch_size=None, num_workers=workers, pin_memory=pin,
        prefetch_factor=4 if workers else None, worker_init_fn=start_worker)


def _start_worker(ending, worker: int) -> None:
    """One thread. A signal that asks the whole job to stop is the trainer's to answer, which still needs its batches; only
    when the trainer itself is ending does a worker obey."""
    torch.set_num_threads(1)

    def obey(signum, frame):
        if ending.is_set():
            os._exit(0)

    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, obey)
