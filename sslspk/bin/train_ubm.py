"""Train the UBM of an i-vector system: `python3 -m sslspk.bin.train_ubm --conf conf/ivector_mfcc.yaml DATA UBM_DIR`.

Reads DATA/feats.scp (MFCC) and DATA/vad.scp, and no label. Writes UBM_DIR/config.yaml, the frames drawn and UBM_DIR/state.npz after
each iteration, and UBM_DIR/final.npz at the end. Started again after any interruption, it resumes from the last whole iteration.
"""
import argparse
from pathlib import Path

from sslspk.errors import entry, whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common(parser)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("out", type=Path, metavar="UBM_DIR")
    args = parser.parse_args()

    import numpy as np

    from sslspk.config import digest, load, to_yaml
    from sslspk.io import files
    from sslspk.ivector import frames, state, ubm
    from sslspk.ivector.config import EXTRACTOR_KEYS, IvectorConfig
    config = load(IvectorConfig, args.conf, args.set)
    specs = frames.read_specs(args.data)
    options = digest(config, {name: True for name in EXTRACTOR_KEYS})
    # A table that was made again has the text of the old one, but other frames behind it.
    key = " ".join([options, *(files.version(args.data / name) for name in ("feats.scp", "vad.scp"))])
    drawn = args.out / "frames.npy"
    if state.resume(args.out, key) is None or not drawn.exists():
        with files.atomic_write(drawn, "wb") as file:
            np.save(file, frames.draw(specs, config))
    with files.atomic_write(args.out / "config.yaml") as file:
        file.write(to_yaml(config))
    x = state.mapped(drawn, (None, None))
    print(f"{len(x)} frames of {x.shape[1]} dimensions, {config.num_gaussians} Gaussians", flush=True)
    show(ubm.train(args.out, x, config, key, args.nj))
    drawn.unlink()


def add_common(parser: argparse.ArgumentParser) -> None:
    """The options of the programs that train."""
    parser.add_argument("--conf", help="YAML of the system (see conf/ivector_mfcc.yaml); default: its own 2048 Gaussians, 400 dimensions")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override, e.g. num_gaussians=64 (repeatable)")
    parser.add_argument("--nj", type=whole, default=1, metavar="N", help="threads; the result does not depend on them (default 1)")


def show(iterations) -> None:
    """Run a training and print a line for each iteration."""
    import time
    begin = time.time()
    for what, level in iterations:
        print(f"{what}: log likelihood per frame {level:.6f} ({time.time() - begin:.1f} s)", flush=True)
        begin = time.time()


if __name__ == "__main__":
    entry(main)
