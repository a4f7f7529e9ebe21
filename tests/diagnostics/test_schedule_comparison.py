"""Schedules asked for by name, and the numbers and picture that compare them."""

import json
import math

import numpy as np
import pytest
import torch

from quasistatic.diagnostics import schedule_comparison as comparison
from quasistatic.diagnostics.mutual_information import Erasure, StandardNormal
from quasistatic.diagnostics.schedule_comparison import LAWS, facts, in_short, places, read, totals
from quasistatic.kernels import schedules
from quasistatic.reporting.figures import schedule_comparison


def compared(*names: str, law: str = "normal", steps: int = 100) -> list[Erasure]:
    return [Erasure(name, read(name, steps), LAWS[law]) for name in names]


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("linear", schedules.linear(50)),
        ("linear:1e-3", schedules.linear(50, 1e-3)),
        ("linear:1e-3,0.3", schedules.linear(50, 1e-3, 0.3)),
        ("cosine:0.1", schedules.cosine(50, 0.1)),
        ("erase-evenly", schedules.erase_evenly(50)),
        ("linear_log_snr:9,-4.5", schedules.linear_log_snr(50, 9, -4.5)),
        ("quadratic", schedules.quadratic(50)),
    ],
)
def test_a_name_and_its_numbers_are_the_schedule_s_own(text, table):
    assert read(text, 50) == table
    assert torch.equal(read(text, 50).log_noise, table.log_noise)


def test_every_schedule_that_has_a_formula_can_be_asked_for():
    tables = {"Schedule", "custom", "from_log_snr", "learned"}
    made = set(schedules.__all__) - tables
    assert set(comparison._MAKERS) == made


def test_what_is_even_is_even_under_the_law_that_is_asked_for():
    for name, law in LAWS.items():
        table = read("information-uniform:6,-5", 12, law)
        assert table.log_snr[[1, -1]].tolist() == pytest.approx([6, -5])
        lost = Erasure("", table, law).lost[1:]
        assert (lost / lost.mean()).tolist() == pytest.approx([1] * 11, abs=0.02), name


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cosinus", r"there is no schedule 'cosinus': did you mean cosine\?"),
        ("custom:0.5", "there is no schedule 'custom'"),
        (
            "linear:a",
            "'linear:a' contains something other than numbers: write linear:first,last, as",
        ),
        ("linear:1e-4,", "contains something other than numbers"),
        ("erase_evenly:3", "gives 1 numbers, and erase_evenly takes 0: write erase_evenly"),
        ("cosine:1,2,3", "gives 3 numbers, and cosine takes 2: write cosine:offset,largest"),
        ("linear_log_snr:-7,7", "log-SNR must fall"),
        ("linear:0.1,7", "is outside"),
    ],
)
def test_what_is_no_schedule_is_answered_by_what_would_be(text, says):
    with pytest.raises(ValueError, match=says):
        read(text, 50)


def test_the_tables_are_the_numbers():
    each = compared("linear", steps=1000)[0]
    header, rows = places(each)
    assert [len(row) for row in rows] == [len(header)] * 10
    assert [int(row[0]) for row in rows] == [1, 112, 223, 334, 445, 556, 667, 778, 889, 1000]
    assert rows[0][3] == "∞"
    assert rows[-1][1] == "4.03583e−05"
    snr = each.schedule.log_snr[[222, 223]].exp()
    step = 0.5 * (torch.log1p(snr[0]) - torch.log1p(snr[1])) / math.log(2)
    assert float(rows[2][3]) == pytest.approx(step.item(), rel=1e-3)
    assert len(places(compared("cosine", steps=4)[0])[1]) == 4

    header, rows = totals(compared("linear", "erase_evenly", steps=1000))
    assert header == ["", "linear", "erase_evenly"]
    cells = {row[0]: row[1:] for row in rows}
    assert cells["log-SNR at T, nats"] == ["−10.12", "−∞"]
    assert cells["half of them gone at t / T"] == ["0.028", "0.032"]
    for column in (1, 2):
        shares = [float(row[column].rstrip("%")) for row in rows[-3:]]
        assert sum(shares) == pytest.approx(100, abs=0.2)


def test_the_short_answer_names_who_takes_early_and_who_late():
    said = in_short(compared("linear", "cosine", "quadratic", steps=1000))
    assert "linear loses most in the first third of the chain (95.8%)" in said
    assert "cosine most in the last (2.8%)" in said


def test_facts_are_plain_json_and_the_same_numbers():
    each = compared("erase_evenly", steps=30)[0]
    said = json.loads(json.dumps(facts([each]), allow_nan=False))["erase_evenly"]
    assert said["schedule"] == {"is": "erase_evenly", "steps": 30}
    assert said["places"][0]["bits_lost"] is None
    assert said["places"][-1]["log_snr"] is None
    assert [row["t"] for row in said["places"]] == [1, 4, 7, 11, 14, 17, 20, 24, 27, 30]
    assert said["places"][-1]["bits_lost_since_1"] == pytest.approx(
        said["bits_left_at_1"] - said["bits_left_at_T"]
    )


@pytest.mark.parametrize("law", LAWS)
def test_the_figure_draws_what_is_left_and_what_each_step_takes(law):
    made = compared("linear:1e-3,0.2", "erase_evenly", law=law, steps=40)
    figure = schedule_comparison(made)
    share, snr, left, lost = figure.axes
    for i, each in enumerate(made):
        for ax, values, first in [
            (share, each.schedule.alpha_bar, 0),
            (snr, each.schedule.log_snr, 0),
            (left, each.left[1:], 1),
            (lost, each.lost[1:], 2),
        ]:
            x, y = ax.lines[i].get_data()
            shown = np.isfinite(y)
            np.testing.assert_allclose(x, np.arange(first, 41) / 40)
            np.testing.assert_allclose(y[shown], values.numpy()[shown])
            assert shown.sum() >= len(y) - 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [e.name for e in made]
    assert made[0].law.about in figure.legends[0].get_title().get_text()
    low, high = lost.get_ylim()
    assert low < float(made[1].lost[-1]) < high
    assert f"{made[0].half:.2g} ({made[0].name})" in figure.get_suptitle()


def test_a_figure_of_one_schedule_names_it_and_one_of_several_laws_is_refused():
    (one,) = compared("cosine")
    assert "cosine loses half of its bits by t/T = 0.1" in schedule_comparison([one]).get_suptitle()
    two = Erasure("cosine", one.schedule, LAWS["bit"])
    with pytest.raises(ValueError, match="under one law of x_0, got 2"):
        schedule_comparison([one, two])
    with pytest.raises(ValueError, match="under one law of x_0, got 0"):
        schedule_comparison([])
    assert one.law == StandardNormal()
