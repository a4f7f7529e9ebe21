"""The notations of numbers in text: which cells are numbers, and in which notation most are."""

__all__ = [
    "CODE",
    "COMMA",
    "GROUPED",
    "PLAIN",
    "THOUSANDS",
    "amount_of",
    "is_number",
    "unit_of",
]

import re
from collections import Counter
from collections.abc import Sequence

from .notation import MONEY, Amount

PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity)$"
PERCENT, SIGN = r"\s?%", r"[+\-−]"
GAPS = "' \u00a0\u2009\u202f’"
"""What separates thousands besides a comma or a point: marks, and spaces that do not break."""

EXPONENT = r"([eE][+-]?\d+)?"


def _number_form(group: str, point: str) -> str:
    # One mark separates all thousands of a number; in India it separates hundreds before them.
    marks = "|".join(rf"(?:{mark}\d{{3}})+" for mark in (group, *GAPS))
    grouped = rf"(?:[1-9]\d{{0,2}}(?:{marks})|[1-9]\d?(?:{group}\d{{2}})+{group}\d{{3}})"
    number = rf"({grouped}({point}\d*)?|\d+({point}\d*)?{EXPONENT}|{point}\d+)"
    unit = rf"\s?({MONEY}|{PERCENT})?"
    signed = rf"{SIGN}?{MONEY}?\s?{SIGN}?{number}{unit}"
    after = rf"{MONEY}?\s?{number}{unit}[\-−]"
    return rf"^({signed}|{after}|\({MONEY}?\s?{number}{unit}\))$"


GROUPED, COMMA = _number_form(",", r"\."), _number_form(r"\.", ",")
"""Numbers with separated thousands, a unit or a minus of typographers or accountants, which write
(5) or 5- for -5: with a decimal point, and with a decimal comma. `PLAIN` has none of these."""

CODE = r"^[+-]?0\d+$"
"""A whole number that begins with a zero, as 007: it is a name."""

THOUSANDS = r"^[+-]?[1-9]\d{0,2}(\.\d{3})+$"
"""A number whose points may separate thousands, as 1.234: with a decimal comma they do."""

INDIAN = r"\d,\d\d,\d{3}(\D|$)"

UNITS = frozenset(
    """
    g kg mg µg μg ug ng t lb lbs oz m cm mm km dm µm μm um nm ft yd mi mile miles s sec
    secs second seconds ms µs μs us ns min mins minute minutes h hr hrs hour hours d day
    days week weeks month months year years yr yrs l L ml mL dl dL cl hl gal m2 m² cm2 cm²
    km2 km² ha m3 m³ cm3 cm³ sqm sqft °C °F °K ° C F V mV kV A mA W mW kW MW GW Wh kWh MWh
    J kJ MJ cal kcal Hz kHz MHz GHz B KB kB MB GB TB KiB MiB GiB TiB bit bits byte bytes
    bps kbps Mbps Gbps km/h kmh mph m/s kn rpm bpm Pa hPa kPa MPa bar mbar psi mmHg mg/dl
    mg/dL mmol/l mmol/L µmol/L g/dL g/l g/L U/L IU IE ppm ppb dB px pt pcs pc Stk Stück Ω
    kΩ mol mmol lx lm cd N kN Nm EUR USD CHF GBP JPY INR CNY RMB AUD CAD NZD SEK NOK DKK
    PLN CZK HUF RON BGN RUB UAH TRY ILS AED SAR ZAR BRL MXN ARS CLP COP SGD HKD TWD KRW
    THB IDR MYR PHP VND kr zł Kč Ft Fr Fr. SFr. Rs Rs. Rp RM R$ Euro euros euro dollars %
    """.split()  # noqa: SIM905
)
"""Units that a number may have without a space between them."""

CURRENCIES = frozenset(each for each in UNITS if re.fullmatch(r"[A-Z]{3}", each)) | frozenset(
    ("kr", "Fr.", "SFr.", "Rs", "Rs.", "Rp", "RM", "R$", "US$", "CA$", "A$")
)
"""Units that may stand before a number."""

WORD = r"(?:[^\W\d_]|[°Ω%])[^\s\d,;()\"']*[23²³]?"
BODY = rf"\d[\d.,{GAPS}]*\d(?:[eE][+-]?\d+)?|\d"
AFTER = re.compile(rf"^[+\-−]?(?P<number>{BODY})(?P<unit>\s?{WORD})$")
BEFORE = re.compile(rf"^(?P<unit>[^\W\d_][^\W\d]{{0,3}}[.$]?\s?)[+\-−]?(?P<number>{BODY})$")


def is_number(cell: str) -> bool:
    """Whether a cell is a number in some notation, without a unit of words."""
    return any(re.match(form, cell) for form in (PLAIN, GROUPED, COMMA))


def unit_of(cells: Sequence[str]) -> list[tuple[tuple[str, str], int]]:
    """The units of words that numbers have, as 5 kg or USD 5: what stands before and after each
    number, and in how many cells, commonest first. A word that is no known unit counts where a
    space is before it.

    Args:
        cells: some known cells of a column, trimmed.
    """
    found = Counter[tuple[str, str]]()
    for cell in cells:
        after, before = AFTER.match(cell), BEFORE.match(cell)
        if after is not None and is_number(after["number"]):
            unit = after["unit"]
            word = unit.strip()
            if word in UNITS or (unit != word and len(word) > 1 and word.isalpha()):
                found["", unit] += 1
        elif before is not None and before["unit"].strip() in CURRENCIES:
            found[before["unit"], ""] += is_number(before["number"])
    return found.most_common()


def without_unit(cell: str, unit: tuple[str, str]) -> str:
    """A cell without the words of a unit."""
    before, after = (each.strip() for each in unit)
    return cell.removesuffix(after).replace(before, "", 1).strip() if before or after else cell


def amount_of(
    cells: Sequence[str], unit: tuple[str, str] = ("", ""), decimal: str | None = None
) -> Amount | None:
    """The notation in which most of some numbers are written; None if they are plain.

    Args:
        cells: numbers, without a unit of words.
        unit: the words that stand before and after each of them.
        decimal: the decimal mark; None decides by the cells.
    """
    points = [c for c in cells if re.match(GROUPED, c) or re.match(PLAIN, c)]
    comma = len(points) < sum(bool(re.match(COMMA, c)) for c in cells)
    comma = comma if decimal is None else decimal == ","
    decimal, group = (",", ".") if comma else (".", ",")
    plain = [cell for cell in cells if re.match(PLAIN, cell)]
    odd = [cell for cell in cells if not re.match(PLAIN, cell) or cell.startswith("+")]
    if not comma and not any(unit) and 2 * len(odd) < max(len(cells), 1):
        return None
    before, after, grouping = Counter[str](), Counter[str](), Counter[str]()
    places, long, indian = set[int](), 0, 0
    for cell in cells:
        number = re.search(rf"\d[\d.,{GAPS}]*\d|\d", cell)
        if number is None:
            continue
        sign = re.sub(r"[+\-−(]", "", cell[: number.start()])
        before[sign] += 1
        after[re.sub(rf"^{EXPONENT}|[)\-−]", "", cell[number.end() :])] += 1
        found = re.search(rf"\d([{group}{GAPS}])\d{{3}}", number[0])
        grouping[found[1] if found else ""] += 1
        whole, _, fraction = number[0].partition(decimal)
        places.add(len(re.sub(r"\D", "", fraction)))
        long += len(re.sub(r"\D", "", whole)) > 3
        indian += bool(re.search(INDIAN, number[0]))
    thousands = max((g for g in grouping if g), key=lambda g: grouping[g], default="")
    own = [each.most_common(1)[0][0] if each else "" for each in (before, after)]
    percent = max(("%", " %"), key=lambda sign: after[sign])
    if after[percent] > len(cells) / 10:
        own[1] = percent
    return Amount(
        decimal,
        thousands if 2 * grouping[thousands] >= long else "",
        unit[0] or own[0],
        unit[1] or own[1],
        min(places) if len(places) == 1 else None,
        bool(plain) and sum(cell.startswith("+") for cell in cells) > len(cells) / 4,
        bool(indian),
    )
