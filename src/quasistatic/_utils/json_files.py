"""JSON objects in files. Imports nothing heavy: the command line reads them before PyTorch."""

__all__ = ["read_json"]

import json
from pathlib import Path
from typing import Any


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        path: the file.
        remedy: what the user can do if it is damaged, for the error message.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds no JSON object: which line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}): {remedy}") from None
    if not isinstance(stored, dict):
        raise ValueError(
            f"{path} is damaged (it holds a {type(stored).__name__} and not a JSON object): "
            f"{remedy}"
        )
    return stored
