"""The loader: micro-steps in order from any start, several worker processes, pinned memory for a GPU."""
import torch

from sslspk.data.dataset import BatchDataset


def make_loader(dataset: BatchDataset, start: int, stop: int, workers: int, pin: bool) -> torch.utils.data.DataLoader:
    """Batches of micro-steps start .. stop-1. `dataset` must not hold open files: each worker opens its own."""
    return torch.utils.data.DataLoader(
        dataset, sampler=range(start, stop), batch_size=None, num_workers=workers, pin_memory=pin,
        prefetch_factor=4 if workers else None, worker_init_fn=_one_thread if workers else None)


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
