"""Pages: one HTML file that holds its tables and figures and needs no other file."""

__all__ = ["Section", "Table", "save_figure", "write_page"]

import base64
import html
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from .._utils.files import write_bytes, write_text
from .numbers import figure_text

NO_BREAK = "\u00a0±\u00a0"
DPI = 150
"""Dots per inch of a saved figure."""


@dataclass(frozen=True)
class Table:
    """Rows under a header.

    Args:
        header: the names of the columns.
        rows: the cells. A float is shown to three significant digits, None as an empty cell. Give a
            string to choose the text yourself.

    Raises:
        ValueError: if a row has another number of cells than the header.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[object]]

    def __post_init__(self) -> None:
        for i, row in enumerate(self.rows):
            if len(row) != len(self.header):
                raise ValueError(
                    f"row {i} of the table has {len(row)} cells under a header of "
                    f"{len(self.header)}: give one cell for each column, None where it is empty"
                )


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Args:
        heading: its title.
        paragraphs: text, one string a paragraph.
        table: a table below the text.
        figures: (caption, figure) pairs; the figure is a Figure or the path of a PNG.
        settings: a table at the end that is folded until the reader opens it.
        result: the result of the section in one sentence, for the top of the page.
        settings_name: what the reader opens the folded table by.
    """

    heading: str
    paragraphs: Sequence[str] = ()
    table: Table | None = None
    figures: Sequence[tuple[str, Figure | str | Path]] = ()
    settings: Table | None = None
    result: str = ""
    settings_name: str = "Settings"


def write_page(path: str | Path, title: str, sections: Iterable[Section]) -> Path:
    """Writes a page, and its figures as PNG to `figures/` beside it. Each file is written whole or
    not at all. The page also contains the figures, so that one can send it alone.

    Args:
        path: of the HTML file.
        title: of the page.
        sections: in reading order. Their results are listed above them.

    Returns:
        The path of the page.

    Raises:
        FileNotFoundError: if a figure is a path and no such file exists.
        ValueError: if a file is not a PNG.
    """
    path = Path(path)
    parts, taken = [], set[str]()
    sections = list(sections)
    for number, section in enumerate(sections, 1):
        pictures = []
        for caption, source in section.figures:
            name = _free_name(_name(caption, source), taken)
            data = _png(source)
            target = path.parent / "figures" / f"{name}.png"
            write_bytes(target, data)
            pictures.append(_picture(caption, source, data))
        parts.append(_section(number, section, pictures))
    write_text(path, _page(title, sections, parts))
    return path


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Writes a figure as a PNG, whole or not at all.

    Args:
        figure: the figure.
        path: of the file; its folder is created.

    Returns:
        The path.
    """
    write_bytes(path, _png(figure))
    return Path(path)


def _png(source: Figure | str | Path) -> bytes:
    if isinstance(source, Figure):
        buffer = io.BytesIO()
        source.savefig(buffer, format="png", dpi=DPI)
        return buffer.getvalue()
    data = Path(source).read_bytes()
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError(f"{source} is not a PNG: give a Figure, or the path of a PNG file")
    return data


def _name(caption: str, source: Figure | str | Path) -> str:
    said = source.get_label() if isinstance(source, Figure) else Path(source).stem
    slug = re.sub(r"[^a-z0-9]+", "_", str(said or caption).lower()).strip("_")
    return slug[:60] or "figure"


def _free_name(name: str, taken: set[str]) -> str:
    free, count = name, 1
    while free in taken:
        count += 1
        free = f"{name}_{count}"
    taken.add(free)
    return free


def _picture(caption: str, source: Figure | str | Path, data: bytes) -> str:
    # A figure's title is drawn into the picture, where a screen reader cannot find it.
    said = source.get_suptitle() if isinstance(source, Figure) else ""
    width, height = (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))
    return (
        f'<figure>\n<img alt="{html.escape(said or caption)}" width="{width}" height="{height}" '
        f'src="data:image/png;base64,{base64.b64encode(data).decode()}">\n'
        f"<figcaption>{html.escape(caption)}</figcaption>\n</figure>"
    )


def _section(number: int, section: Section, pictures: Sequence[str]) -> str:
    lines = [f'<section id="part-{number}">', f"<h2>{html.escape(section.heading)}</h2>"]
    lines += [f"<p>{html.escape(text)}</p>" for text in section.paragraphs]
    if section.table is not None:
        lines.append(_table(section.table, section.heading))
    lines += pictures
    if section.settings is not None:
        table = _table(section.settings, f"{section.heading}: settings")
        name = html.escape(section.settings_name)
        lines.append(f"<details>\n<summary>{name}</summary>\n{table}\n</details>")
    return "\n".join([*lines, "</section>"])


def _table(table: Table, name: str) -> str:
    texts = [[_cell(value) for value in row] for row in table.rows]
    numeric = [
        any(column) and all(_is_number(text) for text in column if text)
        for column in zip(*texts, strict=True)
    ] or [False] * len(table.header)

    def row(cells: Sequence[str], head: bool) -> str:
        made = []
        for i, (text, right) in enumerate(zip(cells, numeric, strict=True)):
            scope = ' scope="col"' if head else ' scope="row"' if i == 0 and not right else ""
            tag = "th" if scope else "td"
            side = ' class="number"' if right else ""
            made.append(f"<{tag}{scope}{side}>{html.escape(text)}</{tag}>")
        return f"<tr>{''.join(made)}</tr>"

    body = "\n".join(row(cells, head=False) for cells in texts)
    return (
        f'<div class="table" role="region" aria-label="{html.escape(name)}" tabindex="0">\n'
        "<table>\n"
        f"<thead>{row([str(text) for text in table.header], head=True)}</thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if isinstance(value, float):
        return figure_text(value).replace("-", "−")
    return str(value)


def _is_number(text: str) -> bool:
    """Whether a cell is a number, which may have an error, a percent sign or an inequality sign."""
    one = r"[-+−]?(\d[\d,]*(\.\d*)?|\.\d+)(e[-+−]?\d+)?"
    return bool(
        re.fullmatch(rf"\s*([<>≤≥~±]\s*)?({one}|nan|[-+−]?inf)(\s*±\s*({one}|nan))?\s*%?\s*", text)
    )


def _page(title: str, sections: Sequence[Section], parts: Sequence[str]) -> str:
    links = "\n".join(
        f'<li><a href="#part-{i}">{html.escape(section.heading)}</a></li>'
        for i, section in enumerate(sections, 1)
    )
    contents = f'<nav aria-label="Contents">\n<ul>\n{links}\n</ul>\n</nav>\n' if links else ""
    results = [html.escape(section.result) for section in sections if section.result]
    # A line must not break between a number and its error.
    points = "\n".join(f"<li>{each.replace(' ± ', NO_BREAK)}</li>" for each in results)
    found = f'<ul class="summary">\n{points}\n</ul>\n' if points else ""
    body = "\n".join(parts)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{html.escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{html.escape(title)}</h1>
{found}{contents}</header>
<main>
{body}
</main>
</body>
</html>
"""


STYLE = """
:root {
  --ink: #1f2933; --quiet: #5a6673; --line: #d9dfe5; --page: #ffffff; --card: #f5f7f9;
  --accent: #00598c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e4e8ec; --quiet: #a3aeb9; --line: #38424d; --page: #14191f; --card: #1d242c;
    --accent: #7cc4f0;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 54rem; background: var(--page);
  color: var(--ink); font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", sans-serif;
}
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 1rem; }
h2 {
  font-size: 1.3rem; margin: 3rem 0 .75rem; padding-top: 1rem; border-top: 1px solid var(--line);
}
p { margin: 0 0 1rem; max-width: 42rem; overflow-wrap: anywhere; }
a { color: var(--accent); }
nav ul {
  display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 0; padding: 0; list-style: none;
}
.summary {
  margin: 0 0 1.25rem; padding: .75rem 1rem .75rem 2rem; background: var(--card);
  border-left: 4px solid var(--accent); border-radius: .25rem;
}
details { margin: 1rem 0; }
details .table { margin-top: .5rem; }
summary { cursor: pointer; color: var(--accent); }
.table { overflow-x: auto; margin: 0 0 1.5rem; }
table { border-collapse: collapse; font-size: .93rem; }
th, td {
  padding: .4rem .9rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: baseline;
}
thead th { color: var(--quiet); font-weight: 600; border-bottom-width: 2px; }
tbody th { font-weight: 500; }
tbody tr:hover { background: var(--card); }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 1.25rem 0 2rem; }
img {
  display: block; max-width: 100%; height: auto; padding: .75rem; background: #ffffff;
  border: 1px solid var(--line); border-radius: .5rem;
}
figcaption { margin-top: .6rem; max-width: 42rem; color: var(--quiet); font-size: .93rem; }
@media (max-width: 30rem) {
  body { padding: 1rem .75rem 2rem; }
  h1 { font-size: 1.5rem; }
  th, td { padding: .35rem .5rem; }
  td:not(.number) { min-width: 6.5rem; }
  img { padding: .25rem; }
}
@media print { body { max-width: none; } figure, .table { break-inside: avoid; } }
"""
