"""Hooks of the documentation site (mkdocs.yml): small changes of pages and docstrings."""

import re
from typing import Any

OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]*\)")
ROLE = re.compile(r":(?:class|func|meth|mod|attr):(?=<code>)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to files outside of the pages become plain text: the site does not have these files."""
    return OUTSIDE.sub(r"\1", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """The roles of docstrings (:class:`Model`) become plain code."""
    html = ROLE.sub("", html)
    return re.sub(r"<code>~[\w.]*\.(\w+)</code>", r"<code>\1</code>", html)
