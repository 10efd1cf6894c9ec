"""Train one system: `python3 -m sslspk.bin.train --conf conf/dino_ecapa.yaml DATA EXP` (under torchrun for several ranks).

Writes EXP/config.yaml before the first step, EXP/ckpt/ while it runs, EXP/final.pt at the end. Started again after any
interruption, it goes on from the newest checkpoint and ends with the same weights.
"""
import argparse
import sys
from pathlib import Path
from typing import NoReturn

from sslspk.errors import entry


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help="data directory: packed wav.scp, or feats.scp")
    parser.add_argument("exp", type=Path, metavar="EXP", help="where the run lives")
    parser.add_argument("--conf", help="YAML of the system")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override, e.g. train.lr=0.1 (repeatable)")
    parser.add_argument("--init-from", metavar="MODEL", help="final.pt whose encoder the training starts from")
    args = parser.parse_args()

    from sslspk.config import load
    from sslspk.train.config import SystemConfig
    chosen = [f"train.init_from={args.init_from}"] if args.init_from else []
    config = load(SystemConfig, args.conf, args.set + chosen)
    if (args.exp / "final.pt").exists():
        return _already_done(args.exp, config, args.data)

    from sslspk.versions import check_torch_pair
    check_torch_pair()
    from sslspk.train import distributed
    device = distributed.init(config.train.timeout_seconds)
    from sslspk.nn import comm
    from sslspk.train.job import prepare
    from sslspk.train.loop import train
    say = print if comm.rank() == 0 else lambda text: None
    return train(prepare(config, args.data, args.exp, device, say))


def _already_done(exp: Path, config, data: Path) -> int:
    """A finished run is left alone, but only when it is the run that was asked for."""
    from sslspk.data.index import UtteranceIndex
    from sslspk.errors import InputError
    from sslspk.train import checkpoint
    from sslspk.train.job import require_same, require_same_start, start_of
    require_same(exp, config)
    info = checkpoint.load(exp / "final.pt")["info"]
    now = UtteranceIndex(data, config.data.road, table_name=config.data.labels).fingerprint()
    require_same_start(exp, info, start_of(config))
    if info["data"] != now:
        raise InputError(f"{exp}: the finished run there was trained on other data ({info['data']}, now {now}); train into another "
                         "directory (run.sh: --tag), or remove it.")
    print(f"{exp}/final.pt is finished; nothing to do.")
    return 0


def _leave(status: int) -> NoReturn:
    if "torch" not in sys.modules:
        sys.exit(status)
    from sslspk.train import distributed
    distributed.leave(status)


if __name__ == "__main__":
    entry(main, _leave)
