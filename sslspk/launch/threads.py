"""How OpenMP's threads wait for each other. Standard library only."""
import os

SPINS = "10000"   # turns before a waiting thread sleeps, a fraction of a millisecond; tools/bench/openmp_wait.py compared several


def wait_briefly() -> None:
    """To be called before torch is loaded: OpenMP's threads spin only briefly for each other, unless the user has said how they wait.

    libgomp, which torch's wheels bring, would spin 300,000 turns: on a core that another process needs as well, each kernel then waits
    for a thread that waits for the core. Nothing that is computed depends on it.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPINS
