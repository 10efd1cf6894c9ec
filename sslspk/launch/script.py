"""The script of a request's jobs, LOGDIR/q/NAME.sh: assignments, and then job.sh. Nothing in it is expanded twice."""
import os
import shlex
from dataclasses import dataclass

from sslspk.launch.request import Request, command_line

BODY = os.path.join(os.path.dirname(__file__), "job.sh")


@dataclass(frozen=True)
class Places:
    """The files beside the logs."""
    folder: str     # q/
    name: str       # of the script, without folder and ending
    sync: str       # a folder of this launcher alone, for the status of each task

    @property
    def script(self) -> str:
        return os.path.join(self.folder, f"{self.name}.sh")

    @property
    def log(self) -> str:
        """What the batch system itself says."""
        return os.path.join(self.folder, f"{self.name}.log")


def places(request: Request) -> Places:
    """q/ stands beside the logs, or beside the folders that differ from job to job."""
    parts = request.log.split("/")
    common = next((i for i, part in enumerate(parts[:-1]) if request.name and request.name in part), len(parts) - 1)
    name = ".".join(parts[common:]).removesuffix(".log")
    if request.name:
        name = name.replace(f".{request.name}", "").replace(request.name, "")
    folder = os.path.join("/".join(parts[:common]) or ("/" if request.log.startswith("/") else "."), "q")
    name = name.strip(".") or "job"
    return Places(folder, name, os.path.join(folder, "sync", f"{name}.{os.uname().nodename}.{os.getpid()}"))


def here() -> str:
    """This folder, by the name that other machines know as well where PWD holds one: an automounter's, not where it leads."""
    told = os.environ.get("PWD", "")
    return told if told and os.path.isdir(told) and os.path.samefile(told, ".") else os.getcwd()


def write(request: Request, where: Places, number: str, job: str, run: int, gpus: int, plain_exit: bool, warning: int) -> None:
    """Write the script. number, job: bash for the number of the task and the batch system's id; run: 0, 1 ... when started again;
    warning: seconds between a warning and the end."""
    exported = {key: value for key, value in os.environ.items() if key == "PATH" or key.startswith("SSLSPK_")}
    values = {"cwd": here(), "name": request.name, "line": command_line(request), "log": request.log,
              "sync": os.path.join(here(), where.sync), "threads": request.options.get("num_threads", ""), "run": str(run),
              "gpus": str(gpus), "plain_exit": str(int(plain_exit)), "warning": str(warning)}
    with open(BODY, encoding="utf-8") as file:
        body = file.read()
    lines = ["#!/bin/bash", *(f"export {key}={_quote(value)}" for key, value in sorted(exported.items())),
             *(f"{key}={_quote(value)}" for key, value in values.items()), f"number={number}", f"job={job}", body]
    os.makedirs(where.sync, exist_ok=True)
    with open(where.script, "wb") as file:
        file.write(os.fsencode("\n".join(lines)))


def _quote(value: str) -> str:
    """On one line for bash: batch systems look for options of theirs at the beginning of any line."""
    return shlex.quote(value).replace("\n", "'$'\\n''")
