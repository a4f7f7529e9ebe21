"""Guidance: a grid of each class, accuracy under another classifier, and diversity.

    python benchmarks/guidance.py digits runs/digits --picture docs/pictures/guidance-digits.png
    python benchmarks/guidance.py mnist runs/mnist --picture docs/pictures/guidance-mnist.png

Of a conditional model (see classify.py for how the runs are trained), the same number of draws of
each class is made at each weight w, from the same noise. A convolutional net that saw none of them
judges: `accuracy` is the share of draws that it takes for their class, and `entropy` that of its
hidden values within a class, a normal law of the ten directions in which test pictures vary most,
in nats less than that of test pictures. Guidance raises the first and lowers the second.
"""

import argparse
import warnings

import numpy as np
import torch
from classify import conv_net, data_of
from scipy.special import polygamma, psi

import quasistatic as qs
from quasistatic.recipes.newest import open_newest

DIRECTIONS, FLOOR = 10, 1e-3
"""Directions of the hidden values, and what is added to their variance, as a share."""


def entropies(features: np.ndarray, labels: np.ndarray, basis: np.ndarray) -> tuple[float, float]:
    """The entropy of a normal law of each class in some directions, the mean of the classes; and
    its standard error, which is that of log det of a covariance matrix (Wishart)."""
    z = features @ basis
    found, variance = [], 0.0
    for k in range(10):
        count, size = (labels == k).sum(), z.shape[1]
        own = np.cov(z[labels == k].T)
        own += FLOOR * np.eye(size) * np.trace(own) / size
        # What log det of a covariance matrix of so few rows is short of in the mean (Wishart).
        freedom = (count - 1 - np.arange(size)) / 2
        short = psi(freedom).sum() + size * np.log(2 / (count - 1))
        found.append(0.5 * (np.linalg.slogdet(2 * np.pi * np.e * own)[1] - short))
        variance += polygamma(1, freedom).sum() / 4
    return float(np.mean(found)), variance**0.5 / 10


def picture(path: str, rows: list[np.ndarray], largest: float, each: int) -> None:
    """A sheet: one block of rows for each weight, `each` draws of the ten classes."""
    from PIL import Image

    side = rows[0].shape[-1]
    gap = max(2, side // 8)
    blocks = []
    for drawn in rows:
        drawn = np.pad(drawn, ((0, 0), (1, 1), (1, 1)))
        lines = [np.concatenate(list(drawn[i * 10 : i * 10 + 10]), 1) for i in range(each)]
        blocks += [*lines, np.zeros((gap, lines[0].shape[1]))]
    sheet = np.concatenate(blocks[:-1], 0)
    sheet = 255 - (sheet * (255 / largest)).clip(0, 255).astype(np.uint8)
    scale = max(1, 560 // sheet.shape[1])
    Image.fromarray(np.kron(sheet, np.ones((scale, scale), np.uint8))).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", choices=("digits", "mnist"))
    parser.add_argument("run")
    parser.add_argument("--weights", default="0,1,3")
    parser.add_argument("--n", type=int, default=30, help="draws of each class and weight")
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--each", type=int, default=3, help="draws of each class in the picture")
    parser.add_argument("--picture", default=None)
    parser.add_argument("--seconds", type=float, default=100.0)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    x, y, largest = data_of(asked.data)
    net, _ = conv_net(x, y, largest, asked.seconds, asked.device)
    model, labels = open_newest(asked.run).model.to(asked.device), np.arange(10 * asked.n) % 10
    with torch.no_grad():
        test = net.features(x.test).cpu().numpy()
    within = test - np.stack([test[y.test == k].mean(0) for k in range(10)])[y.test]
    basis = np.linalg.svd(within, full_matrices=False)[2][:DIRECTIONS].T
    usual, usual_error = entropies(test, y.test, basis)
    right = (net.predict_proba(x.test).argmax(1) == y.test).mean()
    print(f"{'test pictures':16}accuracy {right:.3f}  entropy 0", flush=True)
    sheets = []
    for weight in map(float, asked.weights.split(",")):
        drawn = model.sample(
            10 * asked.n, asked.times, given=labels, guidance=qs.Guidance(weight), rng=0
        )
        drawn = drawn.cpu().numpy()
        right = net.predict_proba(drawn).argmax(1) == labels
        with torch.no_grad():
            own, error = entropies(net.features(drawn).cpu().numpy(), labels, basis)
        print(
            f"{f'w = {weight:g}':16}accuracy {right.mean():.3f} ± "
            f"{right.std() / len(right) ** 0.5:.3f}  entropy {own - usual:+.2f} ± "
            f"{(error**2 + usual_error**2) ** 0.5:.2f} nats",
            flush=True,
        )
        sheets.append(drawn)
    if asked.picture:
        picture(asked.picture, sheets, largest, asked.each)


if __name__ == "__main__":
    main()
