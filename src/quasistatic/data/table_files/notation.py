"""How a column of a text file writes its values: as numbers with units, dates, times, durations."""

__all__ = [
    "MONEY",
    "Amount",
    "Length",
    "Moment",
    "Notation",
    "Quotes",
    "Style",
    "moment",
    "notation_of",
]

import abc
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import polars as pl

MONEY = r"[$€£¥₹₩₽₺₪฿₫₴₦]"
"""Signs of currencies."""


@dataclass(frozen=True)
class Notation(abc.ABC):
    """How the cells of a column are read and written. Base class."""

    kind: ClassVar[str]

    @abc.abstractmethod
    def read(self, cell: pl.Expr) -> pl.Expr:
        """The values of trimmed cells; null where a cell is none in this notation."""

    @abc.abstractmethod
    def write(self, values: pl.Series) -> pl.Series:
        """Values as text."""

    @abc.abstractmethod
    def __str__(self) -> str:
        """An example or a format, for a reader."""

    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        return {"is": self.kind, **asdict(self)}


@dataclass(frozen=True)
class Amount(Notation):
    """Numbers with separated thousands, a decimal comma, a unit, a currency or a percent sign, a
    plus sign. A percentage is read as the number before the sign.

    Args:
        decimal: the decimal mark.
        thousands: what separates thousands; empty for nothing.
        before, after: what stands before and after each number.
        places: how many decimals all numbers are written with; None for as many as they need.
        plus: whether positive numbers have a sign.
        indian: whether hundreds are separated above the thousands, as in 1,23,456.
    """

    kind: ClassVar[str] = "amount"

    decimal: str = "."
    thousands: str = ""
    before: str = ""
    after: str = ""
    places: int | None = None
    plus: bool = False
    indian: bool = False

    @property
    def words(self) -> tuple[str, str]:
        """The words before and after each number, without spaces and signs of currencies."""
        found = (re.sub(rf"{MONEY}|%", "", each).strip() for each in (self.before, self.after))
        before, after = (each if re.search(r"[^\W\d_]|°", each) else "" for each in found)
        return before, after

    @property
    def sign(self) -> str:
        """The sign of the currency, or the percent sign; empty if there is none."""
        found = re.search(rf"{MONEY}|%", self.before + self.after)
        return found[0] if found else ""

    def bare(self, cell: pl.Expr) -> pl.Expr:
        """Trimmed cells without the words of the unit."""
        before, after = self.words
        if before:
            cell = cell.str.replace(before, "", literal=True).str.replace(r"^([+\-−]?)\s+", "$1")
        return cell.str.strip_suffix(after).str.strip_chars_end() if after else cell

    def __str__(self) -> str:
        [example] = self.write(pl.Series([1234.5 if self.places is None else 1234.0])).to_list()
        return f"written as {example}"

    def read(self, cell: pl.Expr) -> pl.Expr:
        cell = self.bare(cell)
        negative = cell.str.starts_with("(") | cell.str.contains(r"[-−]$")
        marks = rf"{MONEY}|[%\s'’()]"
        plain = cell.str.replace_all(marks, "").str.strip_chars_start("+")
        plain = plain.str.replace(r"[-−]$", "").str.replace("−", "-", literal=True)
        if self.decimal == ",":
            plain = plain.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
        else:
            plain = plain.str.replace_all(",", "", literal=True)
        number = plain.cast(pl.Float64, strict=False)
        return pl.when(negative).then(-number).otherwise(number)

    def write(self, values: pl.Series) -> pl.Series:
        form = f"{'+' if self.plus else ''}{',' if self.thousands else ''}"
        form += "" if self.places is None else f".{self.places}f"
        marks = str.maketrans({",": self.thousands, ".": self.decimal})

        def text(value: float) -> str:
            body = format(value, form) if form else repr(value)
            body = body.removesuffix(".0") if self.places is None else body
            body = _indian(body) if self.indian else body
            body = body.translate(marks) if self.thousands else body.replace(".", self.decimal)
            sign, body = (body[0], body[1:]) if body[0] in "+-" else ("", body)
            return f"{sign}{self.before}{body}{self.after}"

        each = [None if v is None else text(v) for v in values.to_list()]
        return pl.Series(values.name, each, dtype=pl.String)


def _indian(number: str) -> str:
    """A number with separated thousands in the notation of India, as 12,34,567."""
    whole, point, fraction = number.partition(".")
    digits = whole.replace(",", "")
    if len(digits.lstrip("+-")) <= 3:
        return number
    return re.sub(r"(?<=\d)(?=(\d\d)+$)", ",", digits[:-3]) + f",{digits[-3:]}{point}{fraction}"


@dataclass(frozen=True)
class Moment(Notation):
    """Dates, dates with times, and times of the day.

    Args:
        type: "date", "datetime" or "time".
        format: in which cells are read, as strftime names it.
        written: in which they are written; empty for `format`.
    """

    kind: ClassVar[str] = "moment"

    type: str
    format: str
    written: str = ""

    def __str__(self) -> str:
        return f"written as {self.written or self.format}"

    def read(self, cell: pl.Expr) -> pl.Expr:
        if self.type == "time":
            return cell.str.to_time(self.format, strict=False)
        if self.type == "datetime":
            return cell.str.to_datetime(self.format, strict=False, time_unit="us")
        if self.format == "%Y-%m":  # polars needs a day
            return (cell + "-01").str.to_date("%Y-%m-%d", strict=False)
        return cell.str.to_date(self.format, strict=False)

    def write(self, values: pl.Series) -> pl.Series:
        if not values.dtype.is_temporal():
            return values.cast(pl.String)
        return values.dt.strftime(self.written or self.format).alias(values.name)


@dataclass(frozen=True)
class Length(Notation):
    """Durations, as hours:minutes:seconds, with days before them or not.

    Args:
        days: whether days are written before the hours, as pandas does.
        seconds: whether there are seconds.
        places: decimals of the seconds.
    """

    kind: ClassVar[str] = "length"

    days: bool = False
    seconds: bool = True
    places: int = 0

    @property
    def pattern(self) -> str:
        """What its cells look like."""
        days = r"^(-)?(\d+) days?,? \+?" if self.days else r"^(-)?()"
        return days + r"(\d+):([0-5]\d)" + (r":([0-5]\d)(\.\d+)?$" if self.seconds else "()()$")

    def __str__(self) -> str:
        return "written as " + ("1 days 12:30" if self.days else "36:30") + ":00" * self.seconds

    def read(self, cell: pl.Expr) -> pl.Expr:
        groups = [cell.str.extract(self.pattern, k) for k in range(1, 7)]
        day, hour, minute, second, part = (
            each.cast(pl.Float64, strict=False).fill_null(0.0) for each in groups[1:]
        )
        whole = ((hour * 60 + minute) * 60 + second + part) * 1_000_000
        days = pl.when(groups[0].is_null()).then(day).otherwise(-day) * 86_400_000_000
        # pandas writes minus one hour as -1 days +23:00:00.
        signed = whole if self.days else pl.when(groups[0].is_null()).then(whole).otherwise(-whole)
        us = (days + signed).round().cast(pl.Int64).cast(pl.Duration("us"))
        return pl.when(cell.str.contains(self.pattern)).then(us)

    def write(self, values: pl.Series) -> pl.Series:
        def text(us: int) -> str:
            sign = "-" if us < 0 and not self.days else ""
            day, rest = divmod(us if self.days else abs(us), 86_400_000_000)
            hours, rest = divmod(rest, 3_600_000_000)
            minutes, rest = divmod(rest, 60_000_000)
            hours = hours if self.days else hours + 24 * day
            body = f"{hours:02}:{minutes:02}"
            if self.seconds:
                body += f":{rest / 1e6:0{3 + self.places if self.places else 2}.{self.places}f}"
            if self.days:
                plus = "+" if day < 0 else ""
                return f"{day} days {plus}{body}"
            return sign + body

        us = values.cast(pl.Duration("us")).cast(pl.Int64).to_list()
        each = [None if v is None else text(v) for v in us]
        return pl.Series(values.name, each, dtype=pl.String)


def moment(form: str) -> Moment:
    """The notation of a format of strftime: of a date, a time, or both.

    Raises:
        ValueError: if it has no part of either.
    """
    date, time = any(p in form for p in ("%Y", "%y")), any(p in form for p in ("%H", "%I"))
    if not date and not time:
        raise ValueError(f"{form!r} is no format of dates or times: %d/%m/%Y and %H:%M are")
    return Moment("datetime" if date and time else "date" if date else "time", form)


KINDS: dict[str, type[Notation]] = {each.kind: each for each in (Amount, Moment, Length)}


def notation_of(facts: Mapping[str, Any]) -> Notation:
    """The notation that :meth:`Notation.facts` described.

    Raises:
        KeyError, TypeError: if it is none.
    """
    rest = {name: value for name, value in facts.items() if name != "is"}
    return KINDS[facts["is"]](**rest)


@dataclass(frozen=True)
class Quotes:
    """Where the cells of a text file have quotes, whether they need them or not.

    Args:
        header: whether the names do.
        columns: the names of the columns whose cells do.
    """

    header: bool = False
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Style:
    """How a text file is written: as the file was that it belongs to.

    Args:
        separator: of the columns.
        decimal: the decimal mark of columns without a notation.
        encoding: of the characters, by Python's name.
        header: whether the first row holds names.
        notations: of columns, by name.
        quotes: where cells have quotes that they do not need.
        line_end: of each line.
    """

    separator: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    header: bool = True
    notations: Mapping[str, Notation] = field(default_factory=dict)
    quotes: Quotes = Quotes()
    line_end: str = "\n"

    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        names = ("separator", "decimal", "encoding", "header", "line_end")
        own: dict[str, Any] = {name: getattr(self, name) for name in names}
        own["quotes"] = asdict(self.quotes)
        return own | {"notations": {name: each.facts() for name, each in self.notations.items()}}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Style":
        """The style that :meth:`facts` described.

        Raises:
            KeyError, TypeError: if it is none.
        """
        notations = {name: notation_of(each) for name, each in facts["notations"].items()}
        quotes = facts.get("quotes", {})
        found = Quotes(bool(quotes.get("header")), tuple(quotes.get("columns", ())))
        return cls(**{**facts, "notations": notations, "quotes": found})

    def text(self, values: pl.Series, like: str | None = None) -> pl.Series:
        """The cells of a column, without quotes; null where a value is missing.

        Args:
            values: of the column. Text stays as it is.
            like: the column in whose notation they are written; None for their own.
        """
        notation = self.notations.get(like or values.name)
        if values.dtype in (pl.String, pl.Categorical, pl.Enum):
            return values.cast(pl.String)
        if notation is not None:
            return notation.write(values).alias(values.name)
        # The writer of polars knows more types than a cast to text does.
        cells = pl.DataFrame([values]).write_csv(include_header=False, quote_style="never")
        found = pl.Series(values.name, cells.split("\n")[:-1], dtype=pl.String)
        if values.dtype.is_float() and self.decimal == ",":
            found = found.str.replace(".", ",", literal=True)
        return found.set(values.is_null(), None)
