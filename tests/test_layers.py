"""Rules about the source that no type checker knows."""

import ast
from pathlib import Path

import pytest

import quasistatic

SOURCE = Path(quasistatic.__file__).parent
ABOVE_THE_KERNELS = [
    *("model", "likelihood", "sampling", "training", "coding", "diffusion"),
    *("diagnostics", "reporting", "recipes", "estimators", "opened", "cli"),
]
MEMBERS = {"Gaussian", "Bernoulli", "Lattice", "LogisticMixture", "NoisyLattice", "OnLattice"}
MEMBERS |= {"Categorical", "Groups"}


BUILDERS = {"diagnostics/oracles.py", "sampling/factors/linear.py", "sampling/factors/observed.py"}
"""Modules that build members themselves: laws with known answers, and likelihoods of a factor."""


def files(*rooms: str) -> list[Path]:
    """The modules and packages of that name which there are."""
    found = [SOURCE / f"{room}.py" for room in rooms]
    found += [path for room in rooms for path in (SOURCE / room).rglob("*.py")]
    return sorted(path for path in found if path.is_file() and label(path) not in BUILDERS)


def every_file() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def named(path: Path) -> set[str]:
    """Every name and attribute that a file speaks of, whatever it was imported as."""
    nodes = list(ast.walk(tree(path)))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    imports = [
        each for n in nodes if isinstance(n, ast.Import | ast.ImportFrom) for each in n.names
    ]
    return names | {each.name for each in imports}


OTHERS = {"coding/stack.py": {"Categorical"}, "opened/fitted_table.py": {"Categorical"}}
"""Names of another library that are those of members, by the file that has them."""


def label(path: Path) -> str:
    return str(path.relative_to(SOURCE))


@pytest.mark.parametrize("path", files(*ABOVE_THE_KERNELS), ids=label)
def test_nothing_above_the_kernels_asks_which_family_it_holds(path):
    """A consumer is written once: it knows `Family` and its verbs, and no member by name."""
    assert not (named(path) - OTHERS.get(label(path), set())) & MEMBERS


def test_the_rule_has_something_to_hold_for():
    """Rooms may be added; those that are there from the start are found, and so are members."""
    found = {path.relative_to(SOURCE).parts[0] for path in files(*ABOVE_THE_KERNELS)}
    assert {room.removesuffix(".py") for room in found} == set(ABOVE_THE_KERNELS)
    found = {name for path in files("kernels") for name in named(path)}
    assert found >= {"Gaussian", "Bernoulli", "Categorical"}


@pytest.mark.parametrize("path", every_file(), ids=label)
def test_no_name_is_the_bare_word_alpha(path):
    """It means four different things in this field. A library's own keyword may be called so."""
    nodes = list(ast.walk(tree(path)))
    names = {n.id for n in nodes if isinstance(n, ast.Name)}
    names |= {n.arg for n in nodes if isinstance(n, ast.arg)}
    names |= {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    names |= {n.attr for n in nodes if isinstance(n, ast.Attribute)}
    assert not {name for name in names if name.lower() in {"alpha", "alphas"}}


@pytest.mark.parametrize("path", every_file(), ids=label)
def test_a_module_says_what_it_offers_and_offers_it(path):
    """`__all__` follows the docstring, and each of its names is defined or imported."""
    body = tree(path).body
    if path.name in {"__init__.py", "__main__.py"}:
        return
    assert isinstance(body[1], ast.Assign)
    assert [t.id for t in body[1].targets if isinstance(t, ast.Name)] == ["__all__"]
    defined = {n.name for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    for node in body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            defined |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            defined |= {each.asname or each.name for each in node.names}
    assert set(ast.literal_eval(body[1].value)) <= defined


def test_each_public_name_is_where_the_lazy_table_says():
    """The imports for type checkers, the table of homes and `__all__` list the same names."""
    block = next(n for n in tree(SOURCE / "__init__.py").body if isinstance(n, ast.If))
    typed = {each.name: f".{n.module}" for n in block.body for each in n.names if n.module}
    assert typed == quasistatic._HOME
    rooms = {each.name for n in block.body if not n.module for each in n.names}
    assert rooms == set(quasistatic._ROOMS)
    assert sorted(quasistatic.__all__) == sorted([*rooms, *typed])
    assert all(getattr(quasistatic, name) is not None for name in quasistatic.__all__)
