"""The options that the command line describes are those of the verbs, for each kind of model."""

import datetime
import inspect

import pytest

import quasistatic as qs
from quasistatic.cli import commands, verbs
from quasistatic.cli.arguments import known_options
from quasistatic.cli.verbs.shared import AT_SCALE
from quasistatic.data.table_files import Amount, Moment
from quasistatic.opened import ARRAYS, IMAGES, TABLE, _named
from quasistatic.opened.given import columns_given

KINDS = {kind.name: kind for kind in (ARRAYS, IMAGES, TABLE)}
NAMED_ELSEWHERE = {"seed": "rng", "runs": "self", "run": "self"}
NOT_ON_THE_COMMAND_LINE = {"display"}


def describes(verb: str) -> type:
    return getattr(verbs, verb.capitalize())


def asked_of(verb: str, kind: str):
    """The function that a verb of a kind of model is."""
    if verb == "fit":
        return _named(KINDS[kind].fitter)
    return getattr(_named(KINDS[kind].home), verb)


CASES = [
    (verb, kind.name)
    for verb in commands.VERBS
    for kind in KINDS.values()
    if kind in describes(verb).kinds
]


@pytest.mark.parametrize(("verb", "kind"), CASES)
def test_a_verb_takes_the_options_that_the_command_line_describes(verb, kind):
    described = set(known_options(describes(verb), KINDS[kind])) - {"json"}
    # `open` places the model, and `fit` chooses its kind.
    described -= {"as_"} if verb == "fit" else {"device"}
    described -= set(AT_SCALE) - ({"workers"} if verb.endswith("compress") else set())
    described = {NAMED_ELSEWHERE.get(name, name) for name in described}
    taken = set(inspect.signature(asked_of(verb, kind)).parameters) - NOT_ON_THE_COMMAND_LINE
    assert described | {"self"} == taken | {"self"}


@pytest.mark.parametrize(("verb", "kind"), CASES)
def test_help_states_the_default_that_the_verb_has(verb, kind):
    """Where the default is a number or a word, it stands in the help text."""
    options = known_options(describes(verb), KINDS[kind])
    for name, parameter in inspect.signature(asked_of(verb, kind)).parameters.items():
        option = {"rng": "seed"}.get(name, name)
        default = parameter.default
        if isinstance(default, int | float | str) and not isinstance(default, bool) and default:
            assert str(default) in options[option].hint, (option, default)


@pytest.mark.parametrize("verb", commands.VERBS[1:])
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_has_the_verbs_that_the_command_line_gives_it(verb, kind):
    has = hasattr(_named(KINDS[kind].home), verb)
    assert has == (KINDS[kind] in describes(verb).kinds)


def test_open_is_at_the_top():
    model = qs.open("digits")
    assert repr(model).endswith("a model of arrays")
    assert repr(qs.open("binarized-mnist")).endswith("a model of images")


def test_the_answer_says_where_it_was_computed(say, tmp_path):
    said = say(
        "sample", "digits", "--n", 2, "--times", 3, "-o", tmp_path / "x.npy", "--device", "cpu"
    )
    assert said["device"] == "cpu"


def test_an_absent_device_is_an_error_that_names_those_present(refused, monkeypatch):
    monkeypatch.setattr("quasistatic._utils.devices.devices", lambda: ["cuda:0", "cuda:1", "cpu"])
    said = refused("sample", "digits", "--device", "cuda:7")
    assert "there is no device 'cuda:7': this machine has cuda:0, cuda:1, cpu" in said


def test_given_numbers_are_read_as_in_the_fitted_file():
    assert columns_given(["a=120,5"], ",") == {"a": "120.5"}
    assert columns_given(["a=1.234,5;7"], ",") == {"a": ["1234.5", "7"]}
    assert columns_given(["a=100,5..120"], ",") == {"a": (100.5, 120.0)}
    assert columns_given(["a=120,5"]) == {"a": ["120", "5"]}
    assert columns_given(["b=x,y"]) == {"b": ["x", "y"]}
    with pytest.raises(ValueError, match=r"the ends are reversed, write 2\.\.3"):
        columns_given(["a=3..2"])
    euros = {"a": Amount(",", ".", after=" €")}
    assert columns_given(["a=1.234,50 €"], ",", euros) == {"a": "1234.5"}
    assert columns_given(["a=50%..60%"], notations={"a": Amount(after="%")}) == {"a": (50.0, 60.0)}


def test_given_dates_are_read_as_in_the_fitted_file_or_as_iso():
    day, form = datetime.date(2024, 1, 5), {"a": Moment("date", "%d.%m.%Y")}
    known = {"times": ["a"], "notations": form}
    assert columns_given(["a=05.01.2024"], ",", **known) == {"a": day}
    assert columns_given(["a=2024-01-05"], ",", **known) == {"a": "2024-01-05"}
    assert columns_given(["a=05.01.2024.."], ",", **known) == {"a": (day, None)}
    assert columns_given(["a=05.01.2024,2024-02"], **known) == {"a": [day, "2024-02"]}
    comma = {"times": ["a"], "notations": {"a": Moment("date", "%b %d, %Y")}}
    assert columns_given(["a=Jan 5, 2024"], **comma) == {"a": day}
    with pytest.raises(ValueError, match=r"the ends are reversed, write 2024-01\.\.2024-02"):
        columns_given(["a=2024-02..2024-01"], times=["a"])
