"""Deliberate faults in the core: does a test notice?

    python benchmarks/mutations.py [--only NAME ...] [--seconds 3600] [--limit 600]

Each fault replaces one piece of a file of the library, in a copy of src in a temporary folder, and
runs the tests that should notice it, until the first that fails. A fault is killed if one fails and
has survived if none does; one whose tests take more than `--limit` seconds is neither. With
`--seconds`, no further fault is started after that time. Prints a table, keeps
benchmarks/results/mutations.json with the list of survivors, and exits with 1 if fewer than 95 % of
those that were decided are killed.

`--check` says whether all faults can be made in the files as they are. `--baseline` runs the tests
without a fault, each once and all in one process, and prints their seconds: all must pass, or they
would count every fault as killed. `--rest` leaves out the
faults that an earlier run saw killed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[1]
RESULTS = HERE / "benchmarks" / "results" / "mutations.json"
ENOUGH = 0.95
"""The share of faults that tests must notice."""


@dataclass(frozen=True)
class Fault:
    """A deliberate fault.

    Args:
        name: of the fault.
        file: below src/quasistatic.
        before: the text that is replaced; it stands in the file once.
        after: what it is replaced by.
        tests: the files that are run, below tests, each with a filter (`-k`) or an empty one.
    """

    name: str
    file: str
    before: str
    after: str
    tests: tuple[tuple[str, str], ...]


def fault(name: str, file: str, before: str, after: str, *tests: str) -> Fault:
    """A fault; each test is "file" or "file -k filter"."""
    pairs = (each.partition(" -k ") for each in tests)
    return Fault(name, file, before, after, tuple((path, words) for path, _, words in pairs))


FAULTS = [
    # Places that an earlier campaign found without a test.
    fault("offset of a linear factor dropped", "sampling/factors/linear.py",
          "self.y - constant,", "self.y,", "sampling/test_factors.py -k raw_values"),
    fault("validation by the weights and not their mean", "training/train_state.py",
          "        _assign(model, self.mean)\n        try:", "        try:",
          "training/test_callbacks.py -k running_mean"),
    fault("costs of steps by the last batch", "sampling/timesteps/step_costs.py",
          "sums[: j + 1, j] += _steps_from", "sums[: j + 1, j] = _steps_from",
          "sampling/test_timesteps.py -k all_batches"),
    fault("prior of step costs by the last batch", "sampling/timesteps/step_costs.py",
          "prior -= fixed_terms", "prior = -fixed_terms",
          "sampling/test_timesteps.py -k all_batches"),
    fault("ties of outliers count as unlikelier", "estimators/outliers.py",
          'side="right")', 'side="left")', "estimators/test_choices.py -k ties"),
    fault("spaces compared without the Jacobian", "estimators/closed_form.py",
          "np.asarray(of.held_out + volume.numpy())", "np.asarray(of.held_out)",
          "estimators/test_choices.py -k spaces"),
    fault("checksum of values not checked", "coding/blocks.py",
          "if zlib.crc32(raw.tobytes()) != block.checksum:", "if False:",
          "coding/test_forged.py -k checksum"),
    fault("outer strata counted half", "likelihood/strata.py",
          "variance = squares.sum(0)", "variance = squares[1:-1].sum(0) + squares[::max(1, len("
          "squares) - 1)].sum(0) / 2", "likelihood/test_interval_coverage.py -k strata"),
    fault("ends of the trapezoidal rule whole", "heads/corrected.py",
          "width[[0, -1]] /= 2", "width[[0, -1]] /= 1",
          "likelihood/test_interval_coverage.py -k trapezoidal"),
    fault("steps in a time change the model", "estimators/fitted.py",
          "        model.load_state_dict(before)\n        return max(1", "        return max(1",
          "estimators/test_choices.py -k pace"),
    fault("shares judged by rows that chose them", "distributions/mixtures/fitting/shares.py",
          "others = (part != torch", "others = (part == torch",
          "distributions/test_mixture_fitting.py -k nested"),
    fault("half of the loss at a third", "diagnostics/mutual_information.py",
          "self.since >= self.since[-1] / 2", "self.since >= self.since[-1] / 3",
          "diagnostics/test_mutual_information.py"),
    # Distributions.
    fault("normal: variance in place of its root", "distributions/gaussian.py",
          "return like + self.variance.sqrt() * noise", "return like + self.variance * noise",
          "distributions/test_distributions.py"),
    fault("normal: log-density without its constant", "distributions/gaussian.py",
          "(2 * math.pi * self.variance).log())", "self.variance.log())",
          "distributions/test_distributions.py"),
    fault("normal: divergence with the variances exchanged", "distributions/gaussian.py",
          "log_ratio = self.variance.log() - other.variance.log()",
          "log_ratio = other.variance.log() - self.variance.log()",
          "distributions/test_distributions.py"),
    fault("normal: tilt without the variance", "distributions/gaussian.py",
          "(self.loc + self.variance * linear) / shrink", "(self.loc + linear) / shrink",
          "distributions/test_distributions.py"),
    fault("normal: mass of a cell in the right tail", "distributions/gaussian.py",
          "right = low + high > 0", "right = low + high < 0",
          "distributions/test_distributions.py"),
    fault("normal: partition without the determinant", "distributions/gaussian.py",
          "/ (2 * self.variance) + 0.5 * self.variance.log()", "/ (2 * self.variance)",
          "test_identities.py -k tilt"),
    # Kernels.
    fault("bridge: weight of the mean's variance", "kernels/gaussian.py",
          "weight = ratio**2 * self.at", "weight = ratio * self.at", "kernels/test_kernels.py"),
    fault("bridge: variance of a later time", "kernels/gaussian.py",
          "beta_tilde = ratio * self.at(self.schedule.log_noise, s, like).exp()",
          "beta_tilde = ratio * self.at(self.schedule.log_noise, t, like).exp()",
          "kernels/test_kernels.py"),
    fault("divergence without its square", "kernels/gaussian.py",
          "+ wider + (-wider).exp() * square", "+ wider", "kernels/test_kernels.py"),
    fault("noisy measurement without the step's noise", "kernels/gaussian.py",
          "variance + self.noise(t, y) ** 2)", "variance)", "kernels/test_kernels.py",
          "sampling/test_factors.py"),
    fault("bits: the mean of a redrawn bit", "kernels/binomial.py",
          "if_one = torch.logaddexp(log_a, log_redrawn + one) - (log_redrawn + zero)",
          "if_one = torch.logaddexp(log_a, log_redrawn + zero) - (log_redrawn + zero)",
          "kernels/test_kernels.py"),
    fault("bits: bridge by a product of means", "kernels/binomial.py",
          "up = torch.logaddexp(log_one + F.logsigmoid(if_one), log_zero + F.logsigmoid(if_zero))",
          "up = log_one + F.logsigmoid(if_one)", "kernels/test_kernels.py"),
    fault("bits: DDIM without its share of the bridge", "kernels/indicator.py",
          "return (1 - eta) * p + eta * bridge.mean.double()", "return p",
          "sampling/test_steppers.py -k what_is_kept"),
    # Heads.
    fault("Noise: x_0 without dividing by the signal", "heads/estimates.py",
          "(x_t - kernel.noise(t, x_t) * output) / kernel.signal(t, x_t)",
          "(x_t - kernel.noise(t, x_t) * output)", "test_identities.py -k right_output"),
    fault("Velocity: sign of the noise", "heads/estimates.py",
          "return kernel.signal(t, x_t) * x_t - kernel.noise(t, x_t) * output",
          "return kernel.signal(t, x_t) * x_t + kernel.noise(t, x_t) * output",
          "test_identities.py -k right_output"),
    fault("correction: known mean twice", "heads/corrected.py",
          "(2 * x_0 - ours - known)", "(2 * x_0 - known - known)",
          "likelihood/test_continuous_time.py -k corrected_to_the_truth"),
    fault("corrected classes: no correction", "heads/corrected.py",
          "return output[..., 0] + output[..., 2]", "return output[..., 0]",
          "networks/test_closed_form.py -k corrected_classes"),
    # Likelihood.
    fault("bound: last term counted as a transition", "likelihood/elbo.py",
          "last = here.s == 0", "last = here.s == 1",
          "likelihood/test_likelihood.py -k last_step_alone"),
    fault("bound: weights of an allocation left out", "likelihood/elbo.py",
          "term = term * (allocation.weight(index) / count).to(term.dtype)",
          "term = term * len(allocation.density) / count",
          "likelihood/test_interval_coverage.py -k one_evaluation"),
    fault("bound: the last step not apart", "likelihood/neyman_allocation.py",
          "        if ends[0] == 0:\n", "        if ends[0] == -1:\n",
          "likelihood/test_interval_coverage.py -k default"),
    fault("bound: terms of bits evaluated evenly", "kernels/indicator.py",
          "EARLY = 0.75", "EARLY = 0.0",
          "likelihood/test_interval_coverage.py -k noise_that_steps_remove"),
    fault("portable: tails halved evenly", "coding/windows.py",
          "TAIL * steps <= to_end", "steps <= to_end + 64",
          "coding/test_portability.py -k tails"),
    fault("importance: sum in place of the mean weight", "likelihood/importance.py",
          "log_weights.logsumexp(1) - math.log(paths) - log_weights.mean(1)",
          "log_weights.logsumexp(1) - log_weights.mean(1)",
          "likelihood/test_path_weights.py -k paths_of_an_exact or reweighting"),
    fault("importance: error without its centre", "likelihood/importance.py",
          "(log_weights.softmax(1) ** 2).sum(1) - 1 / paths",
          "(log_weights.softmax(1) ** 2).sum(1)",
          "likelihood/test_path_weights.py -k what_repeats_show"),
    fault("path weight: the ends exchanged", "likelihood/path_weights.py",
          "between + high - low", "between + low - high",
          "likelihood/test_path_weights.py -k paths_of_an_exact or weight_is_the_bound"),
    fault("intervals: normal in place of Student's t", "likelihood/strata.py",
          "stdtrit(freedom.double().cpu().numpy(), (1 + level) / 2)",
          "stdtrit(1e9 + 0 * freedom.double().cpu().numpy(), (1 + level) / 2)",
          "likelihood/test_interval_coverage.py -k student"),
    fault("scores that are NaN pass", "likelihood/score.py",
          "        if unknown.any():", "        if False:", "test_diffusion.py -k nan"),
    # Sampling.
    fault("SMC: the mean weight lost at resampling", "sampling/particles.py",
          "mean = log_weight.logsumexp(1, keepdim=True) - math.log(group)",
          "mean = 0 * log_weight.logsumexp(1, keepdim=True)",
          "sampling/test_smc.py -k resampling"),
    fault("SMC: the twist counted twice", "sampling/particles.py",
          "log_ratio=kept - new.exponent * new.ahead.log_twist", "log_ratio=kept",
          "sampling/test_smc.py -k resampling"),
    fault("SMC: evidence by the sum", "sampling/particles.py",
          "self.log_weight.flatten(1).logsumexp(1) - math.log(count)",
          "self.log_weight.flatten(1).logsumexp(1)",
          "sampling/test_smc.py -k conjugate or correlated"),
    fault("SMC: ratio of a step left out", "sampling/smc.py",
          "log_ratio=here.log_ratio + log_ratio, ahead", "log_ratio=here.log_ratio, ahead",
          "sampling/test_smc.py -k conjugate or correlated"),
    fault("linear factor: gain without the row's variance", "sampling/factors/linear.py",
          "unknown = signal**2 * p.variance + noise**2", "unknown = noise**2 + 0 * p.variance",
          "sampling/test_factors.py -k seen_through_the_noise"),
    fault("path of steps: the best of the wrong end", "sampling/timesteps/step_costs.py",
          "self.ends[index[0]] + steps", "self.ends[index[-1]] + steps",
          "sampling/test_timesteps.py -k best_of_all"),
    # Training.
    fault("running mean: no warm-up", "training/train_state.py",
          "share = 1 - min(decay, (1 + self.step) / (10 + self.step))", "share = 1 - decay",
          "training/test_training.py -k recurrence"),
    fault("the last weights kept and not the best", "training/train_state.py",
          "_assign(model, self.mean if self.best is None else self.best)",
          "_assign(model, self.mean)", "training/test_training.py -k best_weights"),
    fault("patience ends one validation late", "training/train_state.py",
          "0 < patience <= self.since_best", "0 < patience < self.since_best",
          "training/test_training.py -k patience"),
    # Coding.
    fault("blocks: batches of another size", "coding/blocks.py",
          "min(16 * done // growth, together)) if done",
          "min(8 * done // growth, together)) if done",
          "coding/test_coding.py -k batches_cover"),
    fault("initial bits are not compared", "coding/blocks.py",
          "if not stack.holds_only(block.initial_words) or arithmetic.unfinished:", "if False:",
          "coding/test_coding.py -k ends_where_it_began"),
    fault("digest of weights not compared", "_utils/files.py",
          "if DIGEST in metadata and metadata[DIGEST] != _digest(tensors, text):", "if False:",
          "utils/test_digest.py"),
    fault("metadata in any order", "_utils/files.py",
          "dict(sorted(header[\"__metadata__\"].items()))",
          "dict(sorted(header[\"__metadata__\"].items(), reverse=True))",
          "utils/test_digest.py"),
    # Estimators.
    fault("a network kept without being sure", "estimators/model_selection.py",
          "return gain, gain > SURE * error", "return gain, True",
          "estimators/test_choices.py -k sure"),
    fault("p-values without the row itself", "estimators/outliers.py",
          "(1 + below) / (len(ordinary) + 1)", "below / (len(ordinary) + 1)",
          "estimators/test_choices.py -k ties"),
    fault("outliers: those at the offset too", "estimators/outliers.py",
          "return self.log_prob < self.offset", "return self.log_prob <= self.offset",
          "estimators/test_choices.py -k offset"),
]  # fmt: skip


def fails(test: tuple[str, str], source: Path, limit: float) -> bool:
    """Whether a test fails with the library in a folder.

    Raises:
        subprocess.TimeoutExpired: if it takes longer than `limit` seconds.
        RuntimeError: if pytest could not run it.
    """
    path, words = test
    environment = os.environ | {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += [str(HERE / "tests" / path), *(["-k", words] * bool(words))]
    done = subprocess.run(
        command, env=environment, cwd=HERE, capture_output=True, timeout=limit, check=False
    )
    # A fault that prevents an import makes pytest end with 2 or 4: a failure like any other.
    if done.returncode == 5:
        raise RuntimeError(f"{path} has no test that matches {words!r}")
    return done.returncode != 0


def run_tests(fault: Fault, source: Path, limit: float) -> tuple[str, float]:
    """What came of the tests of a fault ("killed", "survived" or "out of time") with the library
    in a folder, and the seconds they took."""
    started = time.monotonic()
    outcome = "survived"
    for test in fault.tests:
        try:
            failed = fails(test, source, limit)
        except subprocess.TimeoutExpired:
            outcome = "out of time"
            break
        if failed:
            outcome = "killed"
            break
    return outcome, time.monotonic() - started


@dataclass
class Selected:
    """A plugin of pytest: runs the tests of faults, each once, and keeps what came of them."""

    chosen: list[tuple[str, str]]
    of: dict[str, list[int]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    failed: list[bool] = field(default_factory=list)

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        self.seconds = [0.0] * len(self.chosen)
        self.failed = [False] * len(self.chosen)
        kept, left = [], []
        for item in items:
            path = item.path.relative_to(HERE / "tests").as_posix()
            names = {item.name.lower(), *(name.lower() for name in item.keywords)}
            of = [
                k
                for k, (file, words) in enumerate(self.chosen)
                if file == path
                and any(any(word in name for name in names) for word in words.split(" or "))
            ]
            self.of[item.nodeid] = of
            (kept if of else left).append(item)
        config.hook.pytest_deselected(items=left)
        items[:] = kept

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for k in self.of[report.nodeid]:
            self.seconds[k] += report.duration
            self.failed[k] |= report.failed


def baseline(faults: list[Fault]) -> list[str]:
    """The tests that fail, or do not exist, without any fault: they would count every fault as
    killed. One process runs them all; prints the seconds of each."""
    tests = Selected(sorted({test for fault in faults for test in fault.tests}))
    files = sorted({str(HERE / "tests" / path) for path, _ in tests.chosen})
    pytest.main(["-q", "-p", "no:cacheprovider", *files], plugins=[tests])
    bad, ran = [], {k for of in tests.of.values() for k in of}
    for k, pair in enumerate(tests.chosen):
        name = " -k ".join(each for each in pair if each)
        state = "fails" if tests.failed[k] else "passes" if k in ran else "does not exist"
        print(f"{tests.seconds[k]:7.1f} s  {state}  {name}")
        if state != "passes":
            bad.append(name)
    return bad


def altered(fault: Fault, place: Path) -> Path:
    """A copy of src with the fault.

    Raises:
        ValueError: if the text that it replaces does not stand in the file exactly once.
    """
    if why := obstacle(fault):
        raise ValueError(why)
    source = place / "src"
    shutil.copytree(HERE / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    path = source / "quasistatic" / fault.file
    path.write_text(path.read_text().replace(fault.before, fault.after))
    return source


def obstacle(fault: Fault) -> str:
    """Why a fault cannot be made; empty if it can."""
    path = HERE / "src" / "quasistatic" / fault.file
    found = path.read_text().count(fault.before) if path.exists() else 0
    if found == 1:
        return ""
    return (
        f"{fault.name!r}: {fault.before!r} stands {found} times in {fault.file}: write the fault "
        "anew for what the file says now"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[], help="parts of the names of faults")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--limit", type=float, default=600.0, help="seconds for the tests of one")
    parser.add_argument("--rest", action="store_true", help="leave out what was killed before")
    parser.add_argument("--baseline", action="store_true", help="run the tests without a fault")
    parser.add_argument("--check", action="store_true", help="whether all texts stand in the files")
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    chosen = [f for f in FAULTS if not asked.only or any(word in f.name for word in asked.only)]
    started = time.monotonic()
    if asked.check:
        wrong = [why for each in chosen if (why := obstacle(each))]
        print("\n".join([*wrong, f"{len(chosen) - len(wrong)} faults can be made"]))
        sys.exit(bool(wrong))
    if asked.baseline:
        bad = baseline(chosen)
        print("\n".join([*bad, f"{len(bad)} tests fail without a fault"]))
        sys.exit(bool(bad))
    found = json.loads(asked.results.read_text())["faults"] if asked.results.exists() else {}
    found = {each.name: found[each.name] for each in FAULTS if each.name in found}
    for each in chosen:
        if asked.rest and found.get(each.name, {}).get("outcome") == "killed":
            continue
        if time.monotonic() - started > asked.seconds:
            break
        with tempfile.TemporaryDirectory() as place:
            outcome, seconds = run_tests(each, altered(each, Path(place)), asked.limit)
        found[each.name] = {"file": each.file, "outcome": outcome, "seconds": round(seconds)}
        print(f"{outcome:<12}{seconds:6.0f} s  {each.name}", flush=True)
        keep(asked.results, found)
    share = keep(asked.results, found)
    print(f"{share:.1%} of {len(found)} faults killed, of {len(FAULTS)} on the list")
    sys.exit(share < ENOUGH)


def keep(path: Path, found: dict[str, dict]) -> float:
    """Writes the results; the share of faults that were killed."""
    survivors = [name for name, each in found.items() if each["outcome"] == "survived"]
    killed = sum(each["outcome"] == "killed" for each in found.values())
    share = killed / max(killed + len(survivors), 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"listed": len(FAULTS), "run": len(found), "share": share, "survivors": survivors}
    path.write_text(json.dumps(facts | {"faults": found}, indent=2) + "\n")
    return share


if __name__ == "__main__":
    main()
