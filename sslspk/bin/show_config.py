"""Print a system's configuration, or one part of it: `python3 -m sslspk.bin.show_config --conf conf/dino_ecapa.yaml features`.

A group is printed as YAML, a single value as it is. Defaults, `base:` and overrides are applied.
--weights prints the encoders that a recipe evaluates, --chain the systems that `after` says must be trained first, oldest first:
a line each, and a third one for a KEY, so that a recipe learns all three from one process.
--judged prints true or false: whether train.valid can judge its epochs.
"""
import argparse
from pathlib import Path

from sslspk.errors import InputError, entry

OWN = ("pooling", "pooling_heads", "pooling_compress", "embed_dim", "lora",   # of a Transformer, the YAML's to say
       "layer_drop", "input_dropout", "dropout", "attention_dropout", "ff_dropout")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("key", nargs="?", metavar="KEY", help="key to print, e.g. features or method.name; none: the whole configuration")
    parser.add_argument("--conf", required=True, help="YAML of the system")
    parser.add_argument("--on", metavar="CONF", help="use this YAML as the base of --conf")
    parser.add_argument("--encoder-of", metavar="MODEL", help="take features, CMN and encoder from this final.pt or 'ARCH CHECKPOINT', "
                                                              "whatever the YAML says of them")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override (repeatable)")
    parser.add_argument("--weights", action="store_true", help="print the names of the encoders to evaluate")
    parser.add_argument("--chain", action="store_true", help="print the systems to be trained before this one")
    parser.add_argument("--judged", action="store_true", help="print whether train.valid can judge its epochs")
    args = parser.parse_args()

    from sslspk.config import load
    from sslspk.train.config import SystemConfig
    config = load(SystemConfig, args.conf, args.set, under=args.on, instead=_of_model(args) if args.encoder_of else None)
    if args.weights:
        from sslspk.methods.config import weights
        print(*weights(config.method))
    if args.chain:
        print(*chain(Path(args.conf), config.after))
    if args.judged:
        print(str(config.judged).lower())
    if args.key or not (args.weights or args.chain or args.judged):
        _show(config, args)
    return 0


def _show(config, args: argparse.Namespace) -> None:
    """Print all of it, or the part that is called args.key."""
    from sslspk import plain_yaml
    part = config.model_dump(mode="json")
    for name in args.key.split(".") if args.key else ():
        if not isinstance(part, dict) or name not in part:
            raise InputError(f"{args.conf}: there is no key {args.key}.")
        part = part[name]
    if isinstance(part, dict | list):
        print(plain_yaml.dump(part), end="")
    else:
        print(str(part).lower() if isinstance(part, bool) else part)


def _of_model(args: argparse.Namespace) -> dict:
    """The parts of the configuration that a model says; the YAML may say how a Transformer is pooled and regularised."""
    from sslspk.config import merge, read_yaml
    parts, said = of_model(args.encoder_of), read_yaml(args.conf)
    own = (merge(read_yaml(args.on), said) if args.on else said).get("encoder")
    if isinstance(own, dict) and own.get("name") == parts["encoder"]["name"] == "wav2vec2":
        parts["encoder"] |= {key: own[key] for key in OWN if key in own}
    return parts


def of_model(path: str) -> dict:
    """What the encoder of a model is and reads; not how it was trained."""
    from sslspk.train.model import read_encoder_state
    config = read_encoder_state(path)[1]["config"]
    return {section: config[section] for section in ("features", "cmvn", "encoder")}


def chain(conf: Path, after: str | None) -> list[str]:
    """The systems before `conf`, oldest first: `after` names a file beside it, which may name another one."""
    from sslspk.config import load
    from sslspk.train.config import SystemConfig
    names: list[str] = []
    while after:
        if after in [conf.stem, *names]:
            raise InputError(f"{conf}: `after` goes round in a circle through {after}; remove it from one of the files.")
        names.insert(0, after)
        after = load(SystemConfig, conf.with_name(f"{after}.yaml")).after
    return names


if __name__ == "__main__":
    entry(main)
