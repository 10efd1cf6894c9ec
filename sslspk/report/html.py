"""Pieces of the page: text, tables, figures."""
import html
from collections.abc import Iterable, Sequence


def text(value: object) -> str:
    """As HTML shows it literally."""
    return html.escape(str(value))


def figure(caption: str, content: str) -> str:
    return f"<figure><figcaption>{text(caption)}</figcaption>{content}</figure>"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A plain table; every column but the first is of numbers."""
    head = "".join(f"<th>{text(one)}</th>" for one in heads)
    def cells(row: Sequence[object]) -> str:
        first, *others = row
        return f"<td>{text(first)}</td>" + "".join(f'<td class="n">{text(cell)}</td>' for cell in others)
    body = "".join(f"<tr>{cells(row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def sorted_table(name: str, heads: Sequence[str], rows: Iterable[tuple[str, Sequence[tuple[object, object]]]]) -> str:
    """A table that a click on a head sorts and a box filters. rows: (class of the row, cells); a cell: (what it shows, the number to sort
    by, None of text)."""
    head = "".join(f'<th data-sort="">{text(one)}</th>' for one in heads)
    body = "".join(f'<tr{f" class={kind}" if kind else ""}>' + "".join(map(_cell, cells)) + "</tr>" for kind, cells in rows)
    return (f'<input class="filter" data-table="{name}" placeholder="show rows with ..."><div class="scroll"><table id="{name}">'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>")


def _cell(cell: tuple[object, object]) -> str:
    shown, value = cell
    return f"<td>{text(shown)}</td>" if value is None else f'<td class="n" data-value="{value}">{text(shown)}</td>'


def chooser(label: str, blocks: Sequence[tuple[str, str]]) -> str:
    """One of several blocks (name, content) at a time, chosen by its name; the first to begin with."""
    options = "".join(f"<option>{text(name)}</option>" for name, _ in blocks)
    choice = f'<p>{text(label)} <select class="block">{options}</select></p>' if len(blocks) > 1 else ""
    shown = "".join(f'<div class="block"{" hidden" if number else ""}>{content}</div>' for number, (_, content) in enumerate(blocks))
    return f'<div class="chooser">{choice}{shown}</div>'


def interval(row: dict, key: str, digits: int) -> str:
    """A figure with the ends of its interval where there is one: "20.00 (18.00-23.00)"; nothing where the row lacks it."""
    if row.get(key) is None:
        return ""
    span = f" ({row[f'{key}_low']:.{digits}f}-{row[f'{key}_high']:.{digits}f})" if f"{key}_low" in row else ""
    return f"{row[key]:.{digits}f}{span}"
