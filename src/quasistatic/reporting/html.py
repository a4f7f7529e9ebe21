"""Pages: one HTML file that holds its tables and figures and needs no other file."""

__all__ = ["TEMPLATES", "Section", "Table", "save_figure", "write_page"]

import base64
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from matplotlib.figure import Figure

from .._utils.files import write_bytes, write_text
from .numbers import figure_text

TEMPLATES = Path(__file__).parent / "templates"
"""The template of a page, its style, and the colours that it shares with the studio."""

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
    every, taken = [], set[str]()
    sections = list(sections)
    for section in sections:
        pictures = []
        for caption, source in section.figures:
            name = _free_name(_name(caption, source), taken)
            data = _png(source)
            target = path.parent / "figures" / f"{name}.png"
            write_bytes(target, data)
            pictures.append(_picture(caption, source, data))
        every.append(pictures)
    write_text(path, _page(title, sections, every))
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


@dataclass(frozen=True)
class _Shown:
    """A figure as the template shows it: its text for screen readers, its caption, its size in
    pixels, and the PNG in base64."""

    said: str
    caption: str
    width: int
    height: int
    data: str


def _picture(caption: str, source: Figure | str | Path, data: bytes) -> _Shown:
    # A figure's title is drawn into the picture, where a screen reader cannot find it.
    said = source.get_suptitle() if isinstance(source, Figure) else ""
    width, height = (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))
    return _Shown(said or caption, caption, width, height, base64.b64encode(data).decode())


@dataclass(frozen=True)
class _Grid:
    """A table as the template shows it: the texts of its cells, and which columns are numbers."""

    name: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[bool]


def _grid(table: Table | None, name: str) -> _Grid | None:
    if table is None:
        return None
    texts = [[_cell(value) for value in row] for row in table.rows]
    numeric = [
        any(column) and all(_is_number(text) for text in column if text)
        for column in zip(*texts, strict=True)
    ] or [False] * len(table.header)
    return _Grid(name, [str(text) for text in table.header], texts, numeric)


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


def _page(title: str, sections: Sequence[Section], pictures: Sequence[Sequence[_Shown]]) -> str:
    shown = [
        {
            "heading": section.heading,
            "paragraphs": section.paragraphs,
            "table": _grid(section.table, section.heading),
            "figures": figures,
            "settings": _grid(section.settings, f"{section.heading}: settings"),
            "settings_name": section.settings_name,
        }
        for section, figures in zip(sections, pictures, strict=True)
    ]
    # A line must not break between a number and its error.
    results = [each.result.replace(" ± ", NO_BREAK) for each in sections if each.result]
    style = "\n".join((TEMPLATES / name).read_text("utf-8") for name in ("tokens.css", "page.css"))
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.get_template("page.html.jinja")
    return template.render(title=title, sections=shown, results=results, style=Markup(style))
