"""MoCo's queue of keys (He et al. 2020): a ring buffer, part of the state; its size need not fit the batch or the number of ranks."""
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class KeyQueue(nn.Module):
    """keys (K, P), unit vectors, random at first; for each key its recording, the step that added it, and its speaker (-1: unknown).

    known    speakers that the method may learn from        watched   speakers for monitors only
    """

    def __init__(self, size: int, dim: int):
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(size, dim)))
        for name in ("unit", "known", "watched", "step"):
            self.register_buffer(name, torch.full((size,), -1, dtype=torch.int64))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, keys: Tensor, unit: Tensor, known: Tensor, watched: Tensor, step: int) -> None:
        """Replace the n oldest keys by n new ones (n, P), in order; if n > K, only the last K stay. No host synchronisation."""
        size = len(self.keys)
        skipped = max(len(keys) - size, 0)
        place = (self.position + torch.arange(skipped, len(keys), device=keys.device)) % size
        self.keys[place] = keys[skipped:].to(self.keys.dtype)
        self.unit[place], self.known[place], self.watched[place] = unit[skipped:], known[skipped:], watched[skipped:]
        self.step[place] = step
        self.position.copy_((self.position + len(keys)) % size)

    def age(self, step: int) -> Tensor:
        """Mean age of the keys in steps; keys from before step 0 (random, or of another run) are as old as the run."""
        return (step - self.step.clamp_min(0)).float().mean()
