"""A pretended Slurm for the tests of the launchers."""
import pytest
from pretended import Pretended


@pytest.fixture
def slurm(tmp_path) -> Pretended:
    return Pretended(tmp_path)
