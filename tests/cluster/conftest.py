"""Private batch systems for the tests: each worker of pytest brings up its own Slurm and Grid Engine, and takes them down."""
from collections.abc import Iterator

import pytest
from systems import System, bring_up, take_down
from waiting import wait_for


@pytest.fixture(scope="session")
def slurm_session(tmp_path_factory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("slurm")
    yield bring_up("slurm", folder, "--nodes", "2")
    take_down("slurm", folder)


@pytest.fixture(scope="session")
def gridengine_session(tmp_path_factory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("gridengine")
    yield bring_up("gridengine", folder)
    take_down("gridengine", folder)


def idle_after(system: System) -> Iterator[System]:
    """No test leaves a job to the next one."""
    yield system
    for job in set(system.jobs()):
        system.cancel(job)
    wait_for(lambda: not system.jobs())


@pytest.fixture
def slurm(slurm_session) -> Iterator[System]:
    yield from idle_after(slurm_session)


@pytest.fixture
def gridengine(gridengine_session) -> Iterator[System]:
    yield from idle_after(gridengine_session)


@pytest.fixture(params=["slurm", "gridengine"])
def system(request) -> System:
    """Both, one after the other."""
    return request.getfixturevalue(request.param)
