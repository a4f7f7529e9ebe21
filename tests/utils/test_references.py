"""Citations in docstrings: each names a known paper, and the central equations are all cited."""

import re
from pathlib import Path

import pytest

import quasistatic
from quasistatic import cite
from quasistatic._utils.references import PAPERS

SOURCE = Path(quasistatic.__file__).parent
TEXTS = {
    str(path.relative_to(SOURCE)): path.read_text()
    for path in sorted(SOURCE.rglob("*.py"))
    if path.name != "references.py"
}
PLACE = r"(?:Eq|Sec|Tab|Fig|App|Alg|footnote|[A-D]\.\d)"
# A key, and what may follow it: one place or several.
CITED = re.compile(rf"\b([A-Z]{{1,6}}\d{{0,2}})('s)?\s+({PLACE}\.?\s?(?:App\.)?[\w.]*)")


def flat(text: str) -> str:
    """Without the line breaks of docstrings, so that a tag may run over two lines."""
    return " ".join(text.split())


def citations() -> list[tuple[str, str, str]]:
    return [
        (file, found[1], found[3].rstrip("."))
        for file, text in TEXTS.items()
        for found in CITED.finditer(flat(text))
    ]


@pytest.mark.lint
def test_every_tag_names_a_known_paper():
    found = citations()
    assert len(found) > 30
    unknown = [tag for tag in found if tag[1] not in PAPERS]
    assert not unknown, f"not in the bibliography: {unknown}"


@pytest.mark.lint
def test_every_paper_is_cited_somewhere():
    """A bibliography holds what was used."""
    everything = flat(" ".join(TEXTS.values()))
    assert [key for key in PAPERS if not re.search(rf"\b{key}\b", everything)] == []


CENTRAL = [
    *[("SD15", f"Eq. {n}") for n in (1, 2, 5, 14)],
    *[("SD15", place) for place in ("B.2", "Tab. App.1", "D.1.1", "D.1.2")],
    *[("DDPM", f"Eq. {n}") for n in (6, 13, 14)],
]


@pytest.mark.lint
def test_every_central_equation_is_cited_by_code():
    assert [f"{key} {place}" for key, place in CENTRAL if not is_cited(key, place)] == []


def is_cited(key: str, place: str) -> bool:
    # "SD15 Eq. 1" is not cited by "SD15 Eq. 14", nor by another paper's Eq. 1 in between.
    others = "|".join(set(PAPERS) - {key})
    pattern = rf"\b{key}\b(?:(?!{others})[^)]){{0,24}}?{re.escape(place)}(?![\d.]*\d)"
    return any(re.search(pattern, flat(text)) for text in TEXTS.values())


@pytest.mark.lint
def test_every_paper_has_all_that_a_bibliography_prints():
    for key in PAPERS:
        paper = cite(key)
        assert paper.key == key
        arxiv = r"\d{4}\.\d{5}" if paper.year > 2014 else r"\d{4}\.\d{4}"
        assert re.fullmatch(arxiv, paper.arxiv), key
        # An arXiv number starts with year and month; the venue is in that year or the next.
        assert paper.year - 2000 - int(paper.arxiv[:2]) in (0, 1), key
        assert 1 <= int(paper.arxiv[2:4]) <= 12, key
        assert paper.text() == (
            f"{paper.authors}. {paper.title}. {paper.venue}, {paper.year}. arXiv:{paper.arxiv}"
        )
        entry = paper.bibtex()
        assert entry.count("{") == entry.count("}"), key
        authors = re.search(r"author = \{(.*)\}", entry)[1].split(" and ")
        assert authors == paper.authors.split(", "), key
        assert all(" " in name for name in authors), key


@pytest.mark.lint
def test_the_numbers_are_those_of_the_papers():
    numbers = {key: paper.arxiv for key, paper in PAPERS.items()}
    known = {
        "SD15": "1503.03585",
        "DDPM": "2006.11239",
        "IDDPM": "2102.09672",
        "DDIM": "2010.02502",
        "VDM": "2107.00630",
        "TDS": "2306.17775",
    }
    assert known.items() <= numbers.items()
    assert len(set(numbers.values())) == len(numbers)


def test_an_unknown_key_is_answered_by_the_nearest():
    with pytest.raises(ValueError, match=r"no paper has the key 'SD51': did you mean SD15"):
        cite("SD51")
