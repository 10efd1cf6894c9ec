"""The console command `sslspk`, for work with trained models.

A subcommand is a module of this folder with a docstring (its --help; the first sentence is its line in `sslspk --help`), `options(parser)`,
which adds its options, and `run(args)`, which does it and may return an exit status. It is named in COMMANDS. Nothing heavy is imported
at the top of such a module.
"""
import argparse
import sys

import sslspk
from sslspk import versions
from sslspk.cli import compare, embed, export, info, recipe, report, score
from sslspk.errors import entry

COMMANDS = {"embed": embed, "compare": compare, "score": score, "info": info, "export": export, "report": report, "recipe": recipe}


def main() -> None:
    """Run the subcommand that the command line names."""
    sys.excepthook = versions.explain_failed_import
    entry(lambda: run(sys.argv[1:]))


def run(words: list[str]) -> int:
    """The same with these words; returns the exit status. Raises InputError."""
    args = parser().parse_args(words)
    return COMMANDS[args.command].run(args) or 0


def parser() -> argparse.ArgumentParser:
    """The command line of all subcommands."""
    whole = argparse.ArgumentParser(prog="sslspk", description="Speech embeddings: use trained models, and make recipes that train them.")
    whole.add_argument("--version", action="version", version=f"sslspk {sslspk.__version__}")
    actions = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        first = command.__doc__.partition(".")[0].replace("\n", " ")
        command.options(actions.add_parser(name, help=first, description=command.__doc__,
                                           formatter_class=argparse.RawDescriptionHelpFormatter))
    return whole
