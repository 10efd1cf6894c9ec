"""The option --channel: which channel of a recording with several is used."""
import sys

FIRST, MIX = "first", "mix"
HELP = "which channel to take: a number from 0 on (as Kaldi's --channel), or mix, the mean of all (default: the first)"
_said: set[str] = set()


def parse(text: str) -> str | int:
    """The value of --channel: FIRST, MIX, or a number from 0 on. Raises ValueError, which argparse reports."""
    if text in (FIRST, MIX):
        return text
    if not (text.isascii() and text.isdigit() and len(text) < 4):
        raise ValueError(text)
    return int(text)


parse.__name__ = "channel"   # for argparse's message: "invalid channel value"


def say_once(where: str, channels: int, remedy: str = "--channel chooses another") -> None:
    """Say, once per process, that the first of several channels is used because none was chosen."""
    if channels > 1 and not _said:
        _said.add(where)
        print(f"{where} has {channels} channels, and the first is taken of all such recordings; {remedy}", file=sys.stderr, flush=True)
