"""The code of every page runs, what a page names exists, and generated pages are current.

A test that is marked `lint` reads text only; the others run the code and the commands of a page.
"""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

import quasistatic as qs
from quasistatic.cli import COMMANDS, main
from quasistatic.recipes import RECIPES

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TEXTS = [*PAGES, *SOURCES]
TEXTS += [
    each for folder in ("tests", "docs", "benchmarks") for each in ROOT.glob(f"{folder}/**/*.py")
]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.S | re.M)


README = ROOT / "README.md"
WITH_PYTHON = [page for page in PAGES if blocks(page, "python") and page != README]


def shortened(code: str) -> str:
    """The same code with a few steps of training and of the longest chain, unless QUASISTATIC_FULL
    is set."""
    if os.environ.get("QUASISTATIC_FULL"):
        return code
    code = code.replace("erase_evenly(2000)", "erase_evenly(100)")
    return re.sub(r"(\b[fF]it\(.*?\bsteps=)\d{3,}", r"\g<1>20", code)


def run(code: list[str], name: str, monkeypatch: pytest.MonkeyPatch, **given: object) -> dict:
    """Runs blocks of code in order, in one namespace. Returns that namespace."""
    # Dataclasses look their own module up.
    module = type(sys)(f"docs_{name}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    namespace = vars(module) | given
    torch.manual_seed(0)
    for number, block in enumerate(code, 1):
        exec(compile(shortened(block), f"{name}, block {number}", "exec"), namespace)
    return namespace


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_python_blocks_run(page, float32, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = run(blocks(page, "python"), page.stem, monkeypatch)
    for expression, error, says in refusals(page):
        with pytest.raises(error, match=re.escape(says)):
            eval(expression, namespace)


@pytest.mark.parametrize("number", range(len(blocks(README, "python"))))
def test_each_example_of_the_readme_prints_what_it_shows(number, float32, monkeypatch, capsys):
    """Each example runs by itself, and prints the lines after `# ->`. Only the digits may differ:
    training is shortened."""
    example = blocks(README, "python")[number]
    printed = "".join(f"{line}\n" for line in re.findall(r"^# -> (.+)$", example, re.M))
    assert printed
    run([example], f"README_{number}", monkeypatch)
    assert plain(capsys.readouterr().out) == plain(printed)


def refusals(page: Path) -> list[tuple[str, type[Exception], str]]:
    """The rows | `expression` | `Error` | what it says | of a page."""
    rows = re.findall(r"^\| `(.+?)` \| `(\w+Error)` \| (.+?) \|$", page.read_text("utf-8"), re.M)
    errors = {"TypeError": TypeError, "ValueError": ValueError}
    return [(code, errors[error], says.replace(r"\|", "|")) for code, error, says in rows]


@pytest.mark.lint
def test_the_page_on_choosing_says_what_is_refused():
    assert len(refusals(ROOT / "docs" / "choosing.md")) > 10


def test_the_example_of_the_package_is_one_that_runs(float32, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, _, code = qs.__doc__.partition("\n\n")
    code = code.replace("erase_evenly(2000)", "erase_evenly(50)")
    x = qs.data.heartbeat(2, seed=1)
    mask = np.arange(20).repeat(2).reshape(20, 2).T >= 10
    given = {"x_train": qs.data.heartbeat(64, seed=0), "x_test": x, "x": x, "mask": mask}
    run([code], "package", monkeypatch, **given)


def plain(text: str) -> str:
    """Text without the lines of tables, and with 0 for each number: machines differ in digits."""
    words = re.sub(r"[┃│]|\.{3}", " ", text).split()
    return " ".join(re.sub(r"-?\d[\d.,]*", "0", word) for word in words)


@pytest.mark.timeout(900)
def test_the_commands_of_the_tutorial_on_files_run(float32, tmp_path, monkeypatch, capfd):
    """In order, in an empty folder; and they say what the page shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "110")
    page = ROOT / "docs" / "files.md"
    run(blocks(page, "python"), page.stem, monkeypatch)  # it writes a file
    for line in "".join(blocks(page, "sh")).splitlines():
        command, *words = shlex.split(line)
        if command == "python":
            subprocess.run([sys.executable, *words], check=True)
        else:
            assert command == "quasistatic"
            main(words)
    printed = plain(capfd.readouterr().out)
    for line in "".join(blocks(page, "text")).splitlines():
        if line.startswith(("wrote", "│", "would")):
            assert plain(line) in printed
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "new.csv").read_bytes()
    assert (tmp_path / "runs" / "penguins" / "report.html").stat().st_size > 50_000


@pytest.mark.lint
def test_shell_blocks_name_commands_that_exist():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    unknown = []
    for page in PAGES:
        for line in "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines():
            if wrong := unknown_command(shlex.split(line, comments=True), targets):
                unknown.append(f"{page.name}: {wrong}, in: {line}")
    assert not unknown, "\n".join(unknown)


def unknown_command(words: list[str], targets: set[str]) -> str:
    """The target, verb or recipe of a command line that does not exist, else an empty string."""
    if words[:1] == ["make"] and words[1] not in targets:
        return f"no target {words[1]}"
    programs = [Path(word).name for word in words]
    if "quasistatic" not in programs[:-1]:
        return ""
    verb, *rest = words[programs.index("quasistatic") + 1 :]
    if verb not in {*COMMANDS, "--help", "--version"}:
        return f"no verb {verb}"
    return f"no recipe {rest[0]}" if verb == "train" and rest and rest[0] not in RECIPES else ""


@pytest.mark.lint
def test_relative_links_resolve():
    broken = []
    for page in PAGES:
        prose = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.S | re.M)
        for link in re.findall(r"\]\(([^)\s]+)\)", prose):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if re.match(r"\w+:", link):
                continue
            if not target.exists():
                broken.append(f"{page.name}: {link}, no such file")
            elif anchor and target.suffix == ".md" and anchor not in anchors(target):
                broken.append(f"{page.name}: {link}, no such heading")
    assert not broken, "\n".join(broken)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.lint
def test_tests_that_a_page_names_exist():
    missing = []
    for page in PAGES:
        for file, test in re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", page.read_text("utf-8")):
            path = next((ROOT / "tests").rglob(file), None)
            if path is None or (test and f"def {test}(" not in path.read_text("utf-8")):
                missing.append(f"{page.name}: {file}::{test}")
    assert not missing, "\n".join(missing)


@pytest.mark.lint
def test_modules_that_the_design_names_exist():
    text = (ROOT / "docs" / "design.md").read_text("utf-8")
    paths = re.findall(r"`(\w+(?:/\w+)+(?:\.py)?)`", text)
    places = [ROOT, ROOT / "src" / "quasistatic"]
    missing = [
        path
        for path in paths
        if not any((place / f"{path}{end}").exists() for place in places for end in ("", ".py"))
    ]
    assert paths
    assert not missing, f"docs/design.md names {missing}"


@pytest.mark.parametrize("package", [qs.diagnostics, qs.reporting], ids=lambda p: p.__name__)
def test_modules_that_pages_name_need_no_import_of_their_own(package, monkeypatch):
    """`import quasistatic as qs` is enough for `qs.diagnostics.oracles`. The attribute that an
    import elsewhere set is taken away first."""
    prefix = package.__name__.replace("quasistatic", "qs")
    texts = [page.read_text("utf-8") for page in PAGES]
    names = {name for text in texts for name in re.findall(rf"\b{prefix}\.(\w+)", text)}
    assert names
    for name in names:
        if name in vars(package):
            monkeypatch.delattr(package, name)
        assert getattr(package, name)


@pytest.mark.lint
def test_the_layers_of_the_design_are_those_of_the_linter():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = [re.findall(r"\w+", layer) for layer in contracts["contracts"][0]["layers"]]
    text = (ROOT / "docs" / "design.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| (`.+?`) \|", text, re.M)
    assert [int(layer) for layer, _ in rows] == list(range(len(layers)))[::-1]
    assert [re.findall(r"\w+", packages) for _, packages in rows] == layers


@pytest.mark.lint
def test_the_equations_are_current():
    path = ROOT / "docs" / "generate.py"
    spec = importlib.util.spec_from_file_location("docs_generate", path)
    generate = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = generate
    spec.loader.exec_module(generate)
    current = (ROOT / "docs" / "equations.md").read_text("utf-8")
    assert generate.page() == current, "docs/equations.md is out of date: run `make docs`"
    cited = {(each.paper, each.place) for each in generate.citations()}
    assert {("SD15", "Eq. 14"), ("SD15", "D.1.2"), ("SD15", "B.2"), ("DDPM", "Eq. 6")} <= cited


@pytest.mark.lint
def test_nothing_names_a_place_on_one_machine():
    places = "|".join(["home", "root", "work", "Users", "mnt", "tmp"])
    pattern = re.compile(rf"(?<![\w.~)-])/(?:{places})/\S+")
    found = [
        f"{path.name}: {name}"
        for path in TEXTS
        for name in pattern.findall(path.read_text("utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.lint
def test_the_citation_file_has_the_version_of_the_package():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


def test_the_slider_page_holds_as_many_points_at_all_times():
    """docs/site/chain.html has its data in itself, and asks for nothing from elsewhere."""
    page = (ROOT / "docs" / "site" / "chain.html").read_text("utf-8")
    data = json.loads(re.search(r"const data = (\{.*?\}), reach", page).group(1))
    sizes = {len(points) for name in ("forward", "backward") for points in data[name]}
    assert len(sizes) == 1
    assert len(data["forward"]) == len(data["backward"]) == len(data["arrows"]) == len(data["t"])
    assert not re.search(r"(src|href)=|https?://|fetch\(", page)
