"""Pictures of digits: bits with and without the label, and the classifier by Bayes' rule.

    quasistatic train digits --given label --start law --fit.steps 1500 --fit.batch 64 \
        --fit.lr 2e-3 --fit.weight-decay 0.05 --fit.patience 0 --fit.validations 5 -o runs/digits
    python benchmarks/classify.py digits runs/digits
    quasistatic train mnist --given label --fit.steps 4000 -o runs/mnist
    python benchmarks/classify.py mnist runs/mnist --rows 500

A run is a conditional model of scikit-learn's 8x8 digits or of MNIST; one that was stopped has its
newest weights. On its test rows the command prints the bits per dimension given the label, without
it by the network's own p(x), and without it by the mixture of p(x | y) over the classes (more by at
most H(y) / dims). Then it prints the accuracy, the log-loss and the calibration error (ECE, 10
bins) of `model.classify` beside other classifiers of the same training rows, on the same test rows.
The convolutional net is trained for at most `--seconds` seconds (of the CPU; of the wall with
`--device cuda`), and less if its validation accuracy stops rising. With `--valid`, validation rows
take the place of test rows, for choices. `--parts` is any of bits, bayes and others.
"""

import argparse
import copy
import math
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.svm import SVC

import quasistatic as qs
from quasistatic.data import Split, digits, digits_labels, mnist, mnist_labels, split
from quasistatic.recipes.newest import open_newest

PATIENCE = 50_000
"""Training images without a higher validation accuracy after which the convolutional net is done,
and no fewer than five epochs."""

FEW = 5_000
"""Training rows of the classifiers whose time grows faster than their number (SVM)."""


def data_of(name: str) -> tuple[Split, Split, float]:
    """Pictures (N, H, W), their labels, and the largest grey level."""
    if name == "mnist":
        return mnist(), mnist_labels(), 255.0
    x, y = (split(each, valid=0.1, test=0.2) for each in (digits(), digits_labels()))
    return Split(*(p.reshape(-1, 8, 8) for p in (x.train, x.valid, x.test))), y, 16.0


class ConvNet(torch.nn.Module):
    """Two convolutions and a hidden layer; `features` are the hidden values."""

    def __init__(self, side: int, largest: float) -> None:
        super().__init__()
        self.largest = largest
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(1, 32, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Conv2d(32, 64, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Flatten(),
            torch.nn.Dropout(0.3),
            torch.nn.Linear(64 * (side // 4) ** 2, 64),
            torch.nn.ReLU(),
        )
        self.head = torch.nn.Linear(64, 10)

    @property
    def device(self) -> torch.device:
        return self.head.weight.device

    def features(self, x: np.ndarray) -> torch.Tensor:
        images = torch.as_tensor(np.asarray(x), device=self.device).float()[:, None] / self.largest
        return torch.cat([self.body(some) for some in images.split(1000)])

    def forward(self, x: np.ndarray) -> torch.Tensor:
        return self.head(self.features(x))

    @torch.no_grad()
    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return self(x).double().softmax(1).cpu().numpy()


Clock = Callable[[], float]


def clock(device: str) -> Clock:
    """Seconds: of the CPU, or of the wall where a GPU computes."""
    return time.process_time if device == "cpu" else time.perf_counter


def conv_net(
    x: Split, y: Split, largest: float, seconds: float, device: str = "cpu"
) -> tuple[ConvNet, float]:
    """A net trained for so many seconds at most, and how many it took."""
    torch.manual_seed(0)
    net, now = ConvNet(x.train.shape[-1], largest).to(device), clock(device)
    labels = torch.as_tensor(y.train, device=device)
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3)
    begun, best, kept, since = now(), 0.0, copy.deepcopy(net), 0
    patience = max(5, PATIENCE // len(labels))
    while now() - begun < seconds and since < patience:
        net.train()
        for rows in torch.randperm(len(labels)).split(128):
            loss = torch.nn.functional.cross_entropy(net(x.train[rows.numpy()]), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if now() - begun > seconds:
                break
        right = (net.eval().predict_proba(x.valid).argmax(1) == y.valid).mean()
        since = 0 if right > best else since + 1
        if right > best:
            best, kept = right, copy.deepcopy(net)
    return kept.eval(), now() - begun


def judged(p: np.ndarray, y: np.ndarray) -> str:
    nats = -np.log(p[np.arange(len(y)), y].clip(1e-15))
    right, sure = p.argmax(1) == y, p.max(1)
    bins = np.minimum((sure * 10).astype(int), 9)
    ece = sum(abs(right[bins == b].sum() - sure[bins == b].sum()) for b in range(10)) / len(y)
    errors = right.std() / len(y) ** 0.5, nats.std() / len(y) ** 0.5
    return (
        f"accuracy {right.mean():.4f} ± {errors[0]:.4f}  log-loss {nats.mean():.4f} ± "
        f"{errors[1]:.4f} nats  ECE {ece:.4f}"
    )


def bits(model: qs.Diffusion, x: np.ndarray, y: np.ndarray, evaluations: int) -> None:
    scores = [model.score(x, evaluations, given=each, rng=0) for each in (None, y)]
    scores.append(model.score(x, method=qs.OverClasses(qs.Elbo(evaluations)), rng=1))
    without, given, mixture = (score.bits_per_dim.cpu() for score in scores)
    dims = scores[0].dims
    entropy = -sum(p * math.log2(p) for p in np.bincount(y) / len(y) if p)
    print(f"bits per dimension of {len(x)} rows, H(y) / {dims} = {entropy / dims:.4f}")
    for name, each in (("given the label", given), ("without", without), ("over classes", mixture)):
        gain = each - given
        print(
            f"  {name:16} {each.mean():.4f} ± {each.std() / len(each) ** 0.5:.4f}, more by "
            f"{gain.mean():.4f} ± {gain.std() / len(gain) ** 0.5:.4f}",
            flush=True,
        )


def classified(
    model: qs.Diffusion, x: np.ndarray, y: np.ndarray, rounds: int, each: int, now: Clock
) -> None:
    begun = now()
    found = model.classify(x, rounds, each, rng=0)
    print(
        f"Bayes from bounds   {judged(found.prob.cpu().numpy(), y)}  "
        f"({found.evaluations.double().mean():.0f} evaluations an image, {now() - begun:.0f} s, "
        f"{len(y)} images)",
        flush=True,
    )


def others(name: str, x: Split, y: Split, rows: np.ndarray, labels: np.ndarray) -> None:
    """Classifiers of scikit-learn's, of the same training rows, or the first few of them."""
    flat, few = x.train.reshape(len(x.train), -1), slice(FEW)
    made = {
        "logistic": make_pipeline(MaxAbsScaler(), LogisticRegression(max_iter=300)),
        "SVM": make_pipeline(MaxAbsScaler(), SVC(probability=True, random_state=0, C=10)),
        "perceptron": make_pipeline(MaxAbsScaler(), MLPClassifier((256,), random_state=0)),
        "joint law of a table": qs.DiffusionClassifier(),
    }
    if name == "mnist":  # 784 columns are no table
        del made["joint law of a table"]
    test = rows.reshape(len(rows), -1)
    for each, other in made.items():
        begun = time.process_time()
        p = other.fit(flat[few], y.train[few]).predict_proba(test)
        print(f"{each:20}{judged(p, labels)}  ({time.process_time() - begun:.0f} s)", flush=True)
    near = NearestCentroid().fit(flat, y.train).predict(test)
    print(f"nearest mean        accuracy {(near == labels).mean():.4f}")
    if len(flat) > FEW:
        print(f"logistic, SVM and perceptron have the first {FEW} training rows")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", choices=("digits", "mnist"))
    parser.add_argument("run")
    parser.add_argument("--rows", type=int, default=None, help="test rows; by default all")
    parser.add_argument("--valid", action="store_true", help="validation rows in their place")
    parser.add_argument("--parts", default="bits,bayes,others")
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--each", type=int, default=24)
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=100.0)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    x, y, largest = data_of(asked.data)
    whole = (x.valid, y.valid) if asked.valid else (x.test, y.test)
    rows, labels = (each[: asked.rows] for each in whole)
    model, parts = open_newest(asked.run).model.to(asked.device), asked.parts.split(",")
    if "bits" in parts:
        bits(model, rows, labels, asked.evaluations)
    if "bayes" in parts:
        classified(model, rows, labels, asked.rounds, asked.each, clock(asked.device))
    if "others" in parts:
        net, seconds = conv_net(x, y, largest, asked.seconds, asked.device)
        print(f"convolutions        {judged(net.predict_proba(rows), labels)}  ({seconds:.0f} s)")
        others(asked.data, x, y, rows, labels)


if __name__ == "__main__":
    main()
