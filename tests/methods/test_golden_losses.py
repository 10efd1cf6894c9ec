"""Ten steps of every method give the losses of tests/golden/losses.json: a change that should alter no result is shown to alter none.

tests/golden/losses.md says how the file was made, why in double precision, and when it is made again.
"""
import contextlib
import json
import sys
from pathlib import Path

import pytest
import torch
from test_method_contract import METHODS, make, steps

GOLDEN = Path(__file__).resolve().parents[1] / "golden/losses.json"
STEPS = 10
SINGLE = ("bestrq", "pase")                       # whose targets are always float32
RATES = dict.fromkeys([*SINGLE, "vicreg", "dsvae", "dsvae mean", "cdsvae", "cdsvae masked"], 0.002)   # at which none diverges
NAMES = [name for name in METHODS if name != "moco symmetric"]   # BatchNorm over two recordings: a sign, which rounding turns


@contextlib.contextmanager
def double():
    """What is float32 by default, or is made so by `float()`, is float64; one thread, as the order of a sum depends on their number."""
    threads, single = torch.get_num_threads(), torch.Tensor.float
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(torch.float32)
        torch.Tensor.float = single


def losses(name):
    with contextlib.nullcontext() if name in SINGLE else double():
        method = make(name)
        if name not in SINGLE:
            method.double()
        trained = [p for p in method.parameters() if p.requires_grad]
        return steps(method, count=STEPS, optimizer=torch.optim.SGD(trained, lr=RATES.get(name, 0.05)))


@pytest.mark.parametrize("name", NAMES)
def test_ten_steps_give_the_losses_of_the_file(name):
    assert losses(name) == pytest.approx(json.loads(GOLDEN.read_text())[name], rel=1e-6)


def test_the_file_holds_every_method_and_no_other():
    assert list(json.loads(GOLDEN.read_text())) == NAMES


if __name__ == "__main__":
    lines = [f"  {json.dumps(name)}: {json.dumps(losses(name))}" for name in NAMES]
    Path(sys.argv[1]).write_text("{\n" + ",\n".join(lines) + "\n}\n")
