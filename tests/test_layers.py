"""Rules about the source that no type checker and no linter knows. One test holds one rule over all
files and lists every place that breaks it."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import quasistatic

pytestmark = pytest.mark.lint

SOURCE = Path(quasistatic.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
TREES = {str(path.relative_to(SOURCE)): ast.parse(path.read_text("utf-8")) for path in FILES}
"""The syntax tree of each module, by its path in the package."""

ABOVE_THE_KERNELS = {
    *("model", "likelihood", "sampling", "training", "coding", "diffusion"),
    *("diagnostics", "reporting", "recipes", "estimators", "opened", "studio", "cli"),
}
MEMBERS = {
    *("Gaussian", "Bernoulli", "Lattice", "LogisticMixture", "NoisyLattice", "OnLattice"),
    *("Categorical", "OneHotGroups"),
}
BUILDERS = {
    *("diagnostics/oracles/oracle.py", "diagnostics/oracles/mixtures.py"),
    *("sampling/factors/linear.py", "sampling/factors/observed.py", "sampling/factors/within.py"),
    "estimators/labelled_laws.py",
}
"""Modules that build members themselves: laws with known answers, and likelihoods of a factor."""
OTHERS = {"coding/stack.py": {"Categorical"}, "opened/fitted_table.py": {"Categorical"}}
"""Names of another library that are also names of members, by the file that uses them."""


def package(file: str) -> str:
    """The package, or the module at the top, that a file belongs to."""
    return file.split("/")[0].removesuffix(".py")


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every name, attribute, argument, definition and import of a module, with its line. A keyword
    of a call is left out: another library chose it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((node.lineno, each.name) for each in node.names)


def places_of(words: set[str], files: Iterable[str]) -> list[str]:
    """file:line: name, wherever one of the words is a name."""
    found = ((file, line, name) for file in files for line, name in names(TREES[file]))
    return [
        f"{file}:{line}: {name}"
        for file, line, name in found
        if name in words - OTHERS.get(file, set())
    ]


def test_nothing_above_the_kernels_names_a_distribution():
    """Consumers are written once. They call the methods of `Family` and name no member."""
    files = (f for f in TREES if package(f) in ABOVE_THE_KERNELS and f not in BUILDERS)
    found = places_of(MEMBERS, files)
    assert not found, "\n".join(found)


def test_the_rule_about_distributions_sees_what_it_should():
    """Every package above the kernels exists, and the search finds members where they are used."""
    assert {package(file) for file in TREES} >= ABOVE_THE_KERNELS
    kernels = [file for file in TREES if package(file) == "kernels"]
    found = {each.rpartition(" ")[2] for each in places_of(MEMBERS, kernels)}
    assert found >= {"Gaussian", "Bernoulli", "Categorical"}


def test_no_name_is_the_bare_word_alpha():
    """It means four different things in this field. A keyword of another library may be alpha."""
    found = places_of({"alpha", "alphas", "Alpha", "ALPHA"}, TREES)
    assert not found, "\n".join(found)


def test_each_module_lists_its_public_names_first():
    """`__all__` follows the docstring, and each of its names is defined or imported."""
    offences = []
    for file, tree in TREES.items():
        if file.endswith(("__init__.py", "__main__.py")):
            continue
        first = tree.body[1] if len(tree.body) > 1 else None
        if not isinstance(first, ast.Assign) or _targets(first) != ["__all__"]:
            offences.append(f"{file}: __all__ does not follow the docstring")
            continue
        missing = set(ast.literal_eval(first.value)) - _defined(tree.body)
        offences += [f"{file}: {name} is in __all__ and is not defined" for name in sorted(missing)]
    assert not offences, "\n".join(offences)


def _targets(node: ast.Assign) -> list[str]:
    return [target.id for target in node.targets if isinstance(target, ast.Name)]


def _defined(body: list[ast.stmt]) -> set[str]:
    """The names that a module defines or imports at its top level."""
    defined = {n.name for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    for node in body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            defined |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            defined |= {each.asname or each.name for each in node.names}
    return defined


def test_each_public_name_is_where_the_lazy_table_says():
    """The imports for type checkers, the table of homes and `__all__` list the same names."""
    block = next(n for n in TREES["__init__.py"].body if isinstance(n, ast.If))
    typed = {each.name: f".{n.module}" for n in block.body for each in n.names if n.module}
    assert typed == quasistatic._HOME
    packages = {each.name for n in block.body if not n.module for each in n.names}
    assert packages == set(quasistatic._PACKAGES)
    assert sorted(quasistatic.__all__) == sorted([*packages, *typed])
    assert all(getattr(quasistatic, name) is not None for name in quasistatic.__all__)
