"""Labels that vote, against a list of each recording's labels and a count by hand."""
from collections import Counter

import pytest
import torch

from sslspk.nn.label_queue import LabelQueue


@pytest.mark.parametrize("length", [1, 3, 4])
def test_the_most_frequent_of_the_last_labels_and_the_newest_where_several_are(length):
    queue, history = LabelQueue(9, length), {unit: [] for unit in range(9)}
    generator = torch.Generator().manual_seed(length)
    assert queue.majority(torch.arange(9)).tolist() == [-1] * 9 and queue.classes(4) == 0
    for _ in range(60):
        units = torch.randperm(9, generator=generator)[:4]
        labels = torch.randint(4, (4,), generator=generator)
        queue.push(units, labels)
        for unit, label in zip(units.tolist(), labels.tolist(), strict=True):
            history[unit] = [label, *history[unit]][:length]
        count = {unit: Counter(seen) for unit, seen in history.items()}
        wanted = [max(seen, key=lambda label, n=count[unit], seen=seen: (n[label], -seen.index(label))) if seen else -1
                  for unit, seen in history.items()]
        assert queue.majority(torch.arange(9)).tolist() == wanted
        assert queue.classes(4) == len({*wanted} - {-1})
