"""The processes of one training: torch's elastic agent starts and watches the ranks of this machine, and machines find each other.

Node 1 writes its address to EXP/.meeting, and the others wait for that file. So a scheduler only has to start a job array, and its tasks
may start at different times. SIGTERM and SIGUSR1 go to the ranks, which save and stop: the status is then REQUEUE. A rank that dies ends
the others; what failed first is printed last, where a reader of the log looks.
"""
import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import sys
import time
import uuid
from pathlib import Path

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous import RendezvousClosedError, RendezvousConnectionError, RendezvousError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from sslspk import reading
from sslspk.errors import InputError
from sslspk.io.files import atomic_write
from sslspk.launch.processes import running
from sslspk.train import distributed, failures
from sslspk.train.failures import REQUEUE, STOPPED

MEETING = ".meeting"  # in EXP, while node 1 runs: "ID HOST PORT"
MEETING_BYTES = 4096


def run(arguments: list[str], exp: Path, ranks: int, nodes: int = 1, node: int = 1, wait_minutes: float = 60.0) -> int:
    """Run `python3 -m sslspk.bin.train ARGUMENTS` as `ranks` processes here, and as many on every other node; returns the exit status.

    nodes, node: how many machines there are, and which of them this is (from 1 on). Raises InputError when they do not come together
    within `wait_minutes`.
    """
    if node == 1:
        exp.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(exp / failures.FOLDER, ignore_errors=True)
    _pass_on_signals()
    address = _own_address() if nodes > 1 else "localhost"
    os.environ["OMP_NUM_THREADS"] = str(max(1, int(os.environ.get("OMP_NUM_THREADS", ranks)) // ranks))   # they share the job's
    os.environ[failures.VARIABLE] = str((exp / failures.FOLDER).absolute())
    os.environ[distributed.AGENT] = str(os.getpid())
    try:
        _launch(arguments, exp, ranks, nodes, node, address, wait_minutes)
        return 0
    except (ChildFailedError, RendezvousError) as err:
        if (exp / STOPPED).exists():
            return REQUEUE
        if not isinstance(err, ChildFailedError):
            raise InputError(_parted(err, exp, nodes, wait_minutes)) from None
        killed = {rank: -failure.exitcode for rank, failure in err.failures.items() if failure.exitcode < 0}
        print(failures.first(exp, ranks * nodes, killed), file=sys.stderr)
        return 1
    except SignalException as err:
        print(f"train.py: stopped by {err.sigval.name}", file=sys.stderr)
        return 128 + err.sigval
    finally:
        if node == 1:
            (exp / MEETING).unlink(missing_ok=True)


def _parted(err: RendezvousError, exp: Path, nodes: int, wait_minutes: float) -> str:
    """What to tell of nodes that do not meet, or no longer."""
    if isinstance(err, RendezvousConnectionError):
        return f"{exp}: lost contact with node 1 of {nodes} ({err}); see its log; the same command resumes from the last checkpoint."
    return (f"{exp}: the {nodes} nodes did not meet within {wait_minutes:g} minutes ({err}); check that all of them run and reach node "
            "1 over the network, or raise --wait.")


def _launch(arguments: list[str], exp: Path, ranks: int, nodes: int, node: int, address: str, wait_minutes: float) -> None:
    """Meet the other nodes, and start and watch the ranks."""
    end = time.monotonic() + 60 * wait_minutes
    while True:
        identity, endpoint = _meet(exp, address, nodes, node, end, wait_minutes)
        config = _launch_config(ranks, nodes, node, address, identity, endpoint, max(1, round(end - time.monotonic())))
        try:
            elastic_launch(config, sys.executable)("-u", "-m", "sslspk.bin.train", *arguments)
            return
        except RendezvousClosedError:   # of an earlier start, whose first node is still about to leave
            if node == 1 or time.monotonic() > end:
                raise
            time.sleep(1)


def _launch_config(ranks: int, nodes: int, node: int, address: str, identity: str, endpoint: str, seconds: int) -> LaunchConfig:
    more = {}
    if "signals_to_handle" in LaunchConfig.__dataclass_fields__:   # not in older torch, which ends the ranks itself 30 s after SIGTERM
        more["signals_to_handle"] = "SIGINT,SIGHUP"
    return LaunchConfig(
        min_nodes=nodes, max_nodes=nodes, nproc_per_node=ranks, max_restarts=0, start_method="spawn", local_addr=address,
        run_id=identity, rdzv_backend="c10d", rdzv_endpoint=endpoint,
        rdzv_configs={"is_host": node == 1, "join_timeout": seconds}, logs_specs=DefaultLogsSpecs(log_dir=os.devnull), **more)


def _pass_on_signals() -> None:
    """SIGTERM and SIGUSR1 go on to the ranks, for which torch's agent would leave no more than 30 s to save."""
    def pass_on(number, frame):
        ranks = [one.pid for one in running() if one.parent == os.getpid()]
        for pid in ranks:
            os.kill(pid, number)
        if not ranks:
            raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, pass_on)


def _meet(exp: Path, address: str, nodes: int, node: int, end: float, wait_minutes: float) -> tuple[str, str]:
    """(id of this start, HOST:PORT where the nodes meet): chosen by node 1, read by the others until `end` of the monotonic clock."""
    path = exp / MEETING
    if nodes == 1:
        return uuid.uuid4().hex, "localhost:0"   # any port that is free, found and kept in one go
    if node == 1:
        with socket.socket() as probe:
            probe.bind(("", 0))
            port = probe.getsockname()[1]
        identity = uuid.uuid4().hex
        with atomic_write(path) as f:
            f.write(f"{identity} {address} {port}\n")
        print(f"node 1 of {nodes} waits for the others at {address}, port {port}", flush=True)
        return identity, f"{address}:{port}"
    print(f"node {node} of {nodes} looks for node 1 in {path}", flush=True)
    while time.monotonic() < end:
        words = []
        with contextlib.suppress(InputError):   # it comes and goes with node 1
            words = reading.read(path, MEETING_BYTES).decode(errors="replace").split()
        # What does not listen is what an earlier start left behind.
        if len(words) == 3 and re.fullmatch("[0-9]{1,5}", words[2]) and _listens(words[1], int(words[2])):
            return words[0], f"{words[1]}:{words[2]}"
        time.sleep(0.5)
    raise InputError(f"{path}: node 1 of {nodes} did not start within {wait_minutes:g} minutes; look at its log, check "
                     "that all nodes share this folder, or raise --wait.")


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except (OSError, OverflowError, UnicodeError):   # nobody there; no port; no host name
        return False
    return True


def _own_address() -> str:
    """The address at which other machines reach this one: that of the interface SSLSPK_INTERFACE, else of the first besides the loopback.

    Has gloo and nccl talk over the same interface, unless told otherwise: gloo takes that of the host's name, often the loopback, and
    nccl may take a bridge. Raises InputError when there is none.
    """
    addresses, wanted = _interfaces(), os.environ.get("SSLSPK_INTERFACE")
    name = wanted or next((name for name, address in addresses.items() if not address.startswith("127.")), "")
    if name not in addresses:
        raise InputError(f"{os.uname().nodename} has no network interface {wanted or 'besides the loopback'} with an address, at which "
                         f"other nodes could reach it; set SSLSPK_INTERFACE to one that it has ({', '.join(addresses)}).")
    for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        os.environ.setdefault(variable, name)
    return addresses[name]


def _interfaces() -> dict[str, str]:
    """IPv4 address by network interface."""
    found = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):  # an interface without an address
                reply = fcntl.ioctl(probe, 0x8915, struct.pack("256s", name.encode()[:15]))  # SIOCGIFADDR
                found[name] = socket.inet_ntoa(reply[20:24])
    return found
