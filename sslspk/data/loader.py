"""The loader: micro-steps in order from any start, several worker processes, pinned memory for a GPU."""
import signal

import torch

from sslspk.data.dataset import BatchDataset


def make_loader(dataset: BatchDataset, start: int, stop: int, workers: int, pin: bool) -> torch.utils.data.DataLoader:
    """Batches of micro-steps start .. stop-1. `dataset` must not hold open files: each worker opens its own."""
    return torch.utils.data.DataLoader(
        dataset, sampler=range(start, stop), batch_size=None, num_workers=workers, pin_memory=pin,
        prefetch_factor=4 if workers else None, worker_init_fn=_quiet_worker if workers else None)


def _quiet_worker(worker: int) -> None:
    """One thread; and a signal that asks the whole job to stop is the training process's to answer: it still needs its batches."""
    torch.set_num_threads(1)
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
