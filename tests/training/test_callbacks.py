"""What a run reports, how long it takes, and what it leaves in its folder."""

import csv
import shutil

import numpy as np
import pytest
import torch

import quasistatic as qs
from quasistatic._utils.devices import devices, find_device
from quasistatic.likelihood import bound
from quasistatic.training import CSV, Progress
from quasistatic.training.config import Fit, FitChanges
from quasistatic.training.data_loader import VALIDATION, mix

HOW = {"steps": 12, "batch": 8, "validations": 3, "progress": False}


def chain() -> qs.Diffusion:
    torch.manual_seed(0)
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(10, 4.0, -4.0))
    return qs.Diffusion(qs.Continuous(2), kernel, qs.Clean(), qs.networks.MLP(2, 8, 1))


def rows(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 2))


def test_validation_scores_the_running_mean_of_the_weights():
    """The last score is that of the weights that the model ends with, which are a mean."""
    model, valid = chain(), rows(20, 1)
    run = qs.fit(model, rows(50), valid, **HOW | {"validations": 1}, lr=0.1, warmup=0)
    rng = torch.Generator().manual_seed(mix(0, 0, VALIDATION))
    expected = bound(model, valid, 9, rng=rng).bits_per_dim.mean().item()
    assert run.metrics[-1]["valid_bits_per_dim"] == pytest.approx(expected, rel=1e-12)


def test_callbacks_are_called_after_each_validation_and_at_the_end():
    seen: list[Progress] = []
    qs.fit(chain(), rows(50), rows(20, 1), **HOW, callbacks=[seen.append])
    records = [now.latest["step"] for now in seen if now.latest]
    assert sorted(set(records)) == [4, 8, 12]
    assert (seen[-1].step, seen[-1].steps) == (12, 12)


def test_a_csv_file_has_a_line_for_each_record(tmp_path):
    path = tmp_path / "log" / "metrics.csv"
    run = qs.fit(chain(), rows(50), rows(20, 1), **HOW, callbacks=[CSV(path)])
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    found = [{name: float(value) for name, value in line.items()} for line in lines]
    assert found == run.metrics
    again = CSV(path)  # a run that is resumed adds nothing twice
    again(Progress(12, 12, run.metrics[-1], 0.0))
    with path.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 3


def test_minutes_set_the_number_of_steps_and_a_resumed_run_keeps_it(tmp_path):
    how = {"batch": 8, "validations": 2, "progress": False}
    run = qs.fit(chain(), rows(50), rows(20, 1), minutes=0.02, run=tmp_path, **how)
    assert run.step > 1
    again = qs.fit(chain(), rows(50), rows(20, 1), minutes=5.0, run=tmp_path, **how)
    assert again.step == run.step
    told = qs.fit(chain(), rows(50), rows(20, 1), steps=run.step, **how)
    assert told.metrics == run.metrics  # measuring the pace leaves no trace
    with pytest.raises(ValueError, match="minutes and steps both"):
        qs.fit(chain(), rows(50), minutes=1.0, steps=3)


@pytest.mark.parametrize("lost", ["folder", "config.json", "contents"])
def test_a_folder_that_goes_away_is_written_again_and_that_is_said(tmp_path, lost):
    folder, config = tmp_path / "run", tmp_path / "run" / "config.json"
    remove = {
        "folder": lambda: shutil.rmtree(folder),
        "config.json": config.unlink,
        "contents": lambda: config.write_text(""),
    }

    def lose(now: Progress) -> None:
        if now.latest.get("step") == 4 and config.exists():
            remove[lost]()

    with pytest.warns(UserWarning, match="(removed|damaged) while the run was training"):
        qs.fit(chain(), rows(50), run=folder, callbacks=[lose], **HOW)
    model = qs.load(folder)
    assert model.score(rows(5), 2, rng=0).nats.isfinite().all()


def test_a_folder_that_another_run_took_is_left_alone(tmp_path):
    def take(now: Progress) -> None:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        qs.fit(chain(), rows(9), run=tmp_path / "run", steps=1, batch=8, progress=False)

    with pytest.raises(ValueError, match="changed while the run was training"):
        qs.fit(chain(), rows(50), run=tmp_path / "run", callbacks=[take], **HOW)
    assert qs.load(tmp_path / "run").steps == 10


def test_a_state_prints_in_a_few_lines():
    run = qs.fit(chain(), rows(50), rows(20, 1), **HOW)
    assert "finished at step 12" in repr(run)
    assert len(repr(run)) < 400


def test_settings_can_all_be_changed_by_name():
    assert set(FitChanges.__annotations__) == set(Fit.__dataclass_fields__)


def test_a_device_that_is_not_there_is_an_error_that_lists_which_are():
    assert devices()[-1] == "cpu"
    assert find_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match=r"there is no device 'cuda:97'.*this machine has .*cpu"):
        find_device("cuda:97")
    with pytest.raises(ValueError, match="there is no device 'gpu'"):
        qs.fit(chain(), rows(9), steps=1, device="gpu")


def test_the_summary_of_a_progress():
    """Slow work has a speed too."""
    slow = Progress(3, 10, {"bits_per_dim": 1.2345678, "step": 3.0}, 75.2, 0.6134)
    assert slow.summary == "bits/dim 1.235  0.61/s  1:15 left"
    assert Progress(3, 10, {}, 3723.0, 1234.5).summary == "1,234/s  1:02:03 left"
    assert Progress(0, 10, {}, None).summary == ""
