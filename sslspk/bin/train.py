"""Train one system: `python3 -m sslspk.bin.train --conf conf/dino_ecapa.yaml [--ranks 4] DATA EXP`.

Writes EXP/config.yaml before the first step, EXP/ckpt/ while it runs, EXP/final.pt at the end. Started again after any
interruption, it resumes from the newest checkpoint and ends with the same weights.
"""
import argparse
import json
import os
import sys
from pathlib import Path
from typing import NoReturn

from sslspk.errors import entry, leave, real, whole

AGAIN = 3   # exit status of a training that was stopped and can be started again


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help="data directory: packed wav.scp, or feats.scp")
    parser.add_argument("exp", type=Path, metavar="EXP", help="folder of the experiment, to be written")
    parser.add_argument("--conf", help="YAML of the system")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override, e.g. train.lr=0.1 (repeatable)")
    parser.add_argument("--init-from", metavar="MODEL", help="final.pt whose encoder the training starts from")
    parser.add_argument("--finished", action="store_true",
                        help=f"train nothing: exit 0 where EXP/final.pt is this run's, {AGAIN} where it is missing or damaged")
    parser.add_argument("--check", action="store_true", help="train nothing: tell whether DATA has recordings enough for a batch")
    parser.add_argument("--ngpu", type=whole, default=0, help="GPUs that this machine must have (default: use those that it has)")
    parser.add_argument("--ranks", type=whole, help="processes on this machine, one per GPU (default: as many as --ngpu, at least 1)")
    parser.add_argument("--nodes", type=whole, default=1, help="machines, each with that many processes (default %(default)s)")
    parser.add_argument("--node", type=whole, default=1, help="number of this machine, from 1 on")
    parser.add_argument("--wait", type=real, default=60.0, help="minutes that nodes wait for each other (default %(default)s)")
    return parser


def main() -> int:
    parser = options()
    args = parser.parse_args()
    args.ranks = max(args.ngpu, 1) if args.ranks is None else args.ranks
    if min(args.ranks, args.nodes) < 1 or not 1 <= args.node <= args.nodes:
        parser.error(f"--ranks {args.ranks} --nodes {args.nodes} --node {args.node}: all are from 1 on, and --node no more than --nodes")

    from sslspk.config import load
    from sslspk.train.config import SystemConfig
    chosen = [f"train.init_from={json.dumps(args.init_from, ensure_ascii=False)}"] if args.init_from else []
    config = load(SystemConfig, args.conf, args.set + chosen)
    if args.check:
        from sslspk.train.batches import require_batch
        require_batch(config, args.data)
        return 0
    finished = _finished(args.exp)
    if finished:
        return _already_done(args.exp, finished["info"], config, args.data)
    if args.finished:
        return AGAIN

    from sslspk.train import distributed, failures
    distributed.require_gpus(args.ngpu)
    if "RANK" not in os.environ:
        if args.node == 1:
            (args.exp / failures.STOPPED).unlink(missing_ok=True)
        if args.ranks * args.nodes > 1:
            from sslspk.train import agent
            return agent.run(sys.argv[1:], args.exp, args.ranks, args.nodes, args.node, args.wait)
    with failures.Noted():
        return _train(config, args)


def _train(config, args) -> int:
    from sslspk.train import distributed
    device = distributed.init(config.train.timeout_seconds)
    from sslspk.nn import comm
    from sslspk.train.job import prepare
    from sslspk.train.loop import train
    say = print if comm.rank() == 0 else lambda text: None
    return train(prepare(config, args.data, args.exp, device, say))


def _finished(exp: Path) -> dict | None:
    """What final.pt holds; None where there is none, or a damaged one that the checkpoints make again."""
    if not (exp / "final.pt").exists():
        return None
    from sslspk.errors import InputError
    from sslspk.train import checkpoint
    try:
        return checkpoint.load_model(exp / "final.pt")
    except checkpoint.Damaged as err:
        if not checkpoint.checkpoints(exp):
            raise InputError(f"{err} There is no checkpoint to make it from; remove it, and the same command trains again.") from None
        print(f"warning: {err} It is made again from the checkpoints.")
        return None


def _already_done(exp: Path, info: dict, config, data: Path) -> int:
    """A finished run is left alone, but only when it is the run that was asked for."""
    from sslspk.data.index import UtteranceIndex
    from sslspk.errors import InputError
    from sslspk.train.rerun import require_same, require_same_start, start_of
    require_same(exp, config)
    now = UtteranceIndex(data, config.data.input, table_name=config.data.labels, same=config.data.same).fingerprint()
    require_same_start(exp, info, start_of(config))
    if info["data"] != now:
        raise InputError(f"{exp}: the finished run there was trained on other data ({info['data']}, now {now}); train into another "
                         "directory (run.sh: --tag), or remove it.")
    from sslspk.train.log import lost_lines
    if lost_lines(exp / "progress.jsonl", None if config.train.valid else info["step"]):
        print(f"warning: {exp}/progress.jsonl has lost lines, which only a new training would write; the model is complete.")
    print(f"{exp}/final.pt is finished; nothing to do.")
    return 0


def _leave(status: int) -> NoReturn:
    if "torch" not in sys.modules:
        leave(status)
    from sslspk.train import distributed
    distributed.leave(status)


if __name__ == "__main__":
    entry(main, _leave)
