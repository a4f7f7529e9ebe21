"""Runs each Python example of a page by itself: `python tests/readme_examples.py README.md`."""

import re
import sys
from pathlib import Path


def main() -> None:
    text = Path(sys.argv[1]).read_text("utf-8")
    examples = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    if not examples:
        sys.exit(f"{sys.argv[1]} has no Python example")
    for number, code in enumerate(examples, 1):
        print(f"example {number} of {len(examples)}:", flush=True)
        exec(compile(code, f"example {number}", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    main()
