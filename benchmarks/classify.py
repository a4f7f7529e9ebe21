"""Digits: bits with and without the label, the classifier by Bayes, and guidance.

    python benchmarks/classify.py [--steps 600] [--width 256]

One conditional model of scikit-learn's 8x8 digits is trained. On the test rows it prints the bits
per dimension with and without the label (their difference is at most H(y) / 64 for exact densities;
p(x) is learned from a tenth of the examples only, so that its bound is looser), and the accuracy,
the log-loss and the calibration error (ECE, 10 bins) of `model.classify` beside other classifiers
on the same split. Draws at several guidance weights are judged by an SVM that did not see them.
"""

import argparse
import math
import time
import warnings

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import quasistatic as qs
from quasistatic.conditions import ClassLabel
from quasistatic.data import digits, digits_labels, split


def conv_net(x: np.ndarray, y: np.ndarray, seconds: float):
    """A small convolutional net, trained for as many CPU seconds."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 32, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(32, 64, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Dropout(0.3),
        torch.nn.Linear(64 * 16, 10),
    )
    images = torch.from_numpy(x / 16).float().reshape(-1, 1, 8, 8)
    labels, optimiser = torch.from_numpy(y), torch.optim.AdamW(net.parameters(), 1e-3)
    begun = time.process_time()
    while time.process_time() - begun < seconds:
        rows = torch.randint(len(images), (128,))
        loss = torch.nn.functional.cross_entropy(net(images[rows]), labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    net.eval()

    def predict(z: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            found = net(torch.from_numpy(z / 16).float().reshape(-1, 1, 8, 8))
        return found.softmax(1).numpy()

    return predict


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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--width", type=int, default=320)
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    x, y = (split(each, valid=0.1, test=0.2) for each in (digits(), digits_labels()))
    torch.manual_seed(0)
    network = qs.networks.MLP(64, asked.width, 3, outputs=17, dropout=0.4, condition=10)
    share = np.stack([(x.train == level).mean(0) for level in range(17)], -1)
    network.start_at(torch.from_numpy(np.log(share + 1e-3)))
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(1000, 7.0, -7.0))
    space = qs.Quantized(64, 17, spread=2.0)
    model = qs.Diffusion(space, kernel, qs.Levels(), network, ClassLabel(10))
    begun = time.process_time()
    state = qs.fit(
        model,
        x.train,
        x.valid,
        given=y.train,
        valid_given=y.valid,
        steps=asked.steps,
        weight_decay=0.1,
        validations=6,
        evaluations=20,
        progress=False,
    )
    seconds = time.process_time() - begun
    print(
        f"trained {asked.steps} steps in {seconds:.0f} CPU seconds: {state.metrics[-1]}", flush=True
    )
    scores = [model.score(x.test, 100, given=each, rng=0) for each in (None, y.test)]
    without, given = (score.bits_per_dim for score in scores)
    gain = without - given
    entropy = -sum(p * math.log2(p) for p in np.bincount(y.test) / len(y.test))
    print(
        f"bits per dimension on {len(x.test)} test rows: {without.mean():.4f} without the label, "
        f"{given.mean():.4f} with it; difference {gain.mean():.4f} ± "
        f"{gain.std() / len(gain) ** 0.5:.4f}, H(y) / 64 = {entropy / 64:.4f}",
        flush=True,
    )
    begun = time.process_time()
    found = model.classify(x.test, rng=0)
    print(
        f"Bayes from bounds   {judged(found.prob.numpy(), y.test)}  "
        f"({found.evaluations.double().mean():.0f} evaluations an image, "
        f"{time.process_time() - begun:.0f} s)",
        flush=True,
    )
    others = {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=3000)),
        "SVM": SVC(probability=True, random_state=0, gamma=1e-3, C=10),
        "perceptron": make_pipeline(StandardScaler(), MLPClassifier((256,), random_state=0)),
        "joint law": qs.DiffusionClassifier(),
    }
    for name, other in others.items():
        p = other.fit(x.train, y.train).predict_proba(x.test)
        print(f"{name:20}{judged(p, y.test)}", flush=True)
    near = NearestCentroid().fit(x.train, y.train).predict(x.test)
    print(f"nearest mean        accuracy {(near == y.test).mean():.4f}")
    p = conv_net(x.train, y.train, seconds)(x.test)
    print(f"convolutions        {judged(p, y.test)}  (trained for {seconds:.0f} s)", flush=True)
    judge = others["SVM"]
    labels = np.arange(300) % 10
    for weight in (0.0, 1.0, 3.0):
        drawn = model.sample(300, 50, given=labels, guidance=qs.Guidance(weight), rng=0).numpy()
        right = (judge.predict(drawn) == labels).mean()
        spread = np.mean([drawn[labels == k].std(0).mean() for k in range(10)])
        print(
            f"guidance {weight:g}: {right:.3f} of the draws are the class by the SVM, "
            f"deviation within a class {spread:.2f} grey levels",
            flush=True,
        )


if __name__ == "__main__":
    main()
