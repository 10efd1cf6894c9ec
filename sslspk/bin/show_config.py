"""Print a system's configuration, or one part of it: `python3 -m sslspk.bin.show_config --conf conf/dino_ecapa.yaml features`.

A part that is a group is printed as YAML, a single value as itself; the whole file's defaults and overrides are resolved.
"""
import argparse

from sslspk.errors import InputError, entry


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("key", nargs="?", metavar="KEY", help="e.g. features, or method.name; nothing: the whole configuration")
    parser.add_argument("--conf", required=True, help="YAML of the system")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override (repeatable)")
    args = parser.parse_args()

    import yaml

    from sslspk.config import load
    from sslspk.train.config import SystemConfig
    part = load(SystemConfig, args.conf, args.set).model_dump(mode="json")
    for name in args.key.split(".") if args.key else ():
        if not isinstance(part, dict) or name not in part:
            raise InputError(f"{args.conf}: there is no key {args.key}.")
        part = part[name]
    if isinstance(part, dict | list):
        print(yaml.safe_dump(part, sort_keys=False), end="")
    else:
        print(str(part).lower() if isinstance(part, bool) else part)
    return 0


if __name__ == "__main__":
    entry(main)
