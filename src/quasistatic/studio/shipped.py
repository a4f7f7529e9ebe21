"""What the page has to know about the models that come with the library, kept in a file, so that
the first view can be used before PyTorch is loaded. `python -m quasistatic.studio.shipped` writes
it anew; a test compares it with the models."""

__all__ = ["shipped_facts", "write_shipped_facts"]

import json
from pathlib import Path
from typing import Any

from .._utils.json_files import read_json
from ..recipes.locations import WEIGHTS, pretrained

FILE = Path(__file__).parent / "shipped.json"


def shipped_facts(word: str, folder: Path) -> dict[str, Any] | None:
    """The facts of a model that comes with the library; None for every other run.

    Args:
        word: that names it on the command line.
        folder: that holds it.
    """
    if folder.parent != WEIGHTS or not FILE.is_file():
        return None
    facts: dict[str, Any] | None = read_json(FILE, "install the library again").get(folder.name)
    return None if facts is None else {**facts, "run": word}


def write_shipped_facts() -> None:
    """Writes the file."""
    from .._utils.files import write_text
    from .subjects import opened

    found = {name: opened(name, WEIGHTS / name).facts() for name in pretrained()}
    write_text(FILE, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    write_shipped_facts()
