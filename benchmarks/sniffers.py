"""Which sniffer finds the dialects of text tables: our own, CleverCSV's, and DuckDB's.

    .venv/bin/pip install duckdb clevercsv
    .venv/bin/python benchmarks/sniffers.py

Files of known dialects are generated: separators, decimal marks, headers or none, quotes,
byte-order marks, dates, texts with separators in them, missing values, runs of spaces, comment
lines. For each sniffer it is counted how often the separator, the header, the number of columns and
all three are found. A sniffer that is not installed is left out.
"""

import csv
import importlib.util
import io
import itertools
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from quasistatic._utils.files import write_text
from quasistatic.data.table_files import open_table

RESULTS = Path(__file__).parent / "results" / "sniffers.json"
WORDS = ["Anna", "Bert", "Carla", "Dora", "Emil", "Franz", "Greta", "Hugo", "Ida", "Jakob"]
ROWS = 40

Found = tuple[str, bool, int]
"""The separator, whether there is a header, and the number of columns."""


def cell(kind: str, column: int, decimal: str, rng: random.Random) -> str:
    """A cell of a column of a file of that kind."""
    number = f"{rng.gauss(0, 30):.2f}".replace(".", decimal)
    day = f"2021-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    texts = " ".join(rng.choices(WORDS, k=3)) + rng.choice(["", ", and", "; or"])
    each = {
        "numbers": [number],
        "mixed": [number, str(rng.randint(0, 90)), rng.choice(WORDS), rng.choice(["yes", "no"])],
        "dates": [day, number],
        "times": [f"{day} {rng.randint(0, 23):02}:{rng.randint(0, 59):02}", number],
        "texts": [texts, number],
        "money": [f"{number.lstrip('-')} €", number],
        "holes": [rng.choice(["", "NA", *[number] * 8])],
        "broken": [rng.choice(["one\ntwo", 'he said "no"', "plain"]), number],
    }[kind]
    return each[column % len(each)]


def files() -> list[tuple[str, bytes, Found]]:
    """The kind, the content and the truth of each file."""
    kinds = ("numbers", "mixed", "dates", "times", "texts", "money", "holes", "broken")
    found = []
    ways = itertools.product(kinds, ",;\t|", ".,", [True, False], [2, 4])
    for seed, (kind, separator, decimal, header, width) in enumerate(ways):
        rng = random.Random(seed)
        rows = [[cell(kind, k, decimal, rng) for k in range(width)] for _ in range(ROWS)]
        rows[0] = [each or "0" for each in rows[0]]
        out = io.StringIO(newline="")
        quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
        writer = csv.writer(out, delimiter=separator, quoting=quoting)
        writer.writerows([[f"col{k}" for k in range(width)]] * header + rows)
        encoding = rng.choice(["utf-8", "utf-8-sig"])
        found.append((kind, out.getvalue().encode(encoding), (separator, header, width)))
    for seed, (kind, header, width) in enumerate(
        itertools.product(("numbers", "mixed"), [True, False], [2, 4])
    ):
        rng = random.Random(seed)
        rows = [[cell(kind, k, ".", rng) for k in range(width)] for _ in range(ROWS)]
        lines = [[f"col{k}" for k in range(width)]] * header + rows
        text = "".join("  ".join(f"{each:>9}" for each in row) + "\n" for row in lines)
        found.append(("spaces", text.encode(), (" ", header, width)))
        text = "".join(";".join(row) + "\n" for row in lines)
        found.append(("comments", f"# a logger\n# m; s\n{text}".encode(), (";", header, width)))
    return found


def ours(path: Path) -> Found:
    file = open_table(path)
    return file.style.separator, file.style.header, len(file.names)


def clevercsv(path: Path) -> Found:
    import clevercsv as library

    text = path.read_text("utf-8-sig")
    dialect = library.Sniffer().sniff(text)
    rows = [row for row in library.reader(io.StringIO(text), dialect) if row]
    return dialect.delimiter, library.Sniffer().has_header(text), max(map(len, rows))


def duckdb(path: Path) -> Found:
    import duckdb as library

    query = f"select Delimiter, HasHeader, length(Columns) from sniff_csv('{path}')"
    return library.connect().execute(query).fetchone()


def main() -> None:
    every = files()
    print(f"{len(every)} files")
    results = {"files": len(every)}
    sniffers: dict[str, Callable[[Path], Found]] = {"ours": ours}
    for each in (clevercsv, duckdb):
        if importlib.util.find_spec(each.__name__):
            sniffers[each.__name__] = each
    for name, sniff in sniffers.items():
        counts, begun = Counter(), time.process_time()
        with tempfile.TemporaryDirectory() as room:
            path = Path(room) / "x.csv"
            for _, content, truth in every:
                path.write_bytes(content)
                try:
                    found = sniff(path)
                except Exception as error:  # whatever a library raises is no answer
                    found = (type(error).__name__, None, None)
                pairs = zip(("separator", "header", "columns"), found, truth, strict=True)
                right = {part: a == b for part, a, b in pairs}
                counts += Counter([part for part, holds in right.items() if holds])
                counts["all"] += all(right.values())
        seconds = time.process_time() - begun
        shown = ", ".join(
            f"{part} {counts[part]}" for part in ("separator", "header", "columns", "all")
        )
        print(f"{name:10} {shown}; {seconds:.1f} CPU seconds")
        results[name] = dict(counts)
    write_text(RESULTS, json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
