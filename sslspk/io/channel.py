"""Which channel of a recording of several is meant, as --channel says it."""
import sys

FIRST, MIX = "first", "mix"
HELP = "which channel to take: a number from 0 on (as Kaldi's --channel), or mix, the mean of all (default: the first)"
_said: set[str] = set()


def parse(text: str) -> str | int:
    """The value of --channel: FIRST, MIX, or a number from 0 on. Raises ValueError, which argparse tells."""
    if text in (FIRST, MIX):
        return text
    if not (text.isascii() and text.isdigit() and len(text) < 4):
        raise ValueError(text)
    return int(text)


parse.__name__ = "channel"   # what argparse calls it: "invalid channel value"


def say_once(where: str, channels: int, remedy: str = "--channel chooses another") -> None:
    """Tell, once in a process, that of several channels the first is taken since nobody chose."""
    if channels > 1 and not _said:
        _said.add(where)
        print(f"{where} has {channels} channels, and the first is taken of all such recordings; {remedy}", file=sys.stderr, flush=True)
