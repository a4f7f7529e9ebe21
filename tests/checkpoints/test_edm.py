"""Networks of EDM's preconditioning, against its own formulas."""

import pytest
import torch

import quasistatic as qs
from conftest import close


class Own(torch.nn.Module):
    """A network of x, the noise's number and a class, without training."""

    def __init__(self, classes: int = 0) -> None:
        super().__init__()
        self.mix = torch.nn.Conv2d(3, 3, 3, padding=1)
        self.label = torch.nn.Linear(classes, 3, bias=False) if classes else None

    def forward(self, x, number, codes=None):
        about = number[:, None] if codes is None else number[:, None] + self.label(codes)
        return torch.tanh(self.mix(x) + about[:, :, None, None])


def edm(network, x, sigma, d, *codes):
    """D(x; sigma) of EDM22 Tab. 1."""
    s = sigma.reshape(-1, 1, 1, 1)
    skip, out = d**2 / (s**2 + d**2), s * d / (s**2 + d**2).sqrt()
    return skip * x + out * network(x / (s**2 + d**2).sqrt(), sigma.log() / 4, *codes)


@pytest.mark.parametrize("classes", [0, 4])
def test_the_estimate_is_that_of_the_preconditioning(classes, float64):
    torch.manual_seed(0)
    network = Own(classes).double()
    condition = qs.conditions.ClassLabel(classes) if classes else None
    model = qs.from_edm(
        network, (3, 4, 4), deviation=0.7, highest=20.0, steps=30, condition=condition
    )
    t = torch.tensor([1, 9, 30])
    sigma = (-model.kernel.schedule.log_snr[t] / 2).exp()
    assert close(sigma[[0, 2]], torch.tensor([0.002, 20.0]))
    wild = torch.randn(3, 3, 4, 4) * (1 + sigma.reshape(-1, 1, 1, 1))
    labels = torch.tensor([0, 3, 1])
    codes = (torch.eye(4)[labels],) if classes else ()
    given = model.given(labels) if classes else model
    ours = given.estimate(wild * model.kernel.signal(t, wild), t)
    assert close(ours, edm(network, wild, sigma, 0.7, *codes), atol=1e-9)


def test_it_is_trained_on_and_kept(tmp_path, float32):
    torch.manual_seed(0)
    model = qs.from_edm(Own(), (3, 4, 4), steps=20)
    x = torch.randint(256, (16, 3, 4, 4))
    before = model.score(x, None, rng=0).nats.mean()
    qs.fit(model, x, steps=60, batch=16, lr=1e-2, ema=0.5, validations=0, progress=False)
    assert model.score(x, None, rng=0).nats.mean() > before
    model.save(tmp_path)
    again = qs.load(tmp_path, network=qs.networks.NoiseScaled(Own(), 20))
    assert torch.equal(again.score(x, rng=0).nats, model.score(x, rng=0).nats)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: qs.from_edm(3, (3, 4, 4)), TypeError, "net.model"),
        (lambda: qs.from_edm(Own(), (1, 4, 4)), TypeError, "Own|NoiseScaled"),
        (lambda: qs.from_edm(Own(), (3, 4, 4), lowest=90.0), ValueError, "not below 80"),
        (lambda: qs.from_edm(Own(), (3, 4, 4), deviation=0.0), ValueError, "deviation"),
        (lambda: qs.from_edm(Own(), (3, 4, 4), variance=qs.LearnedRange()), TypeError, "outputs"),
    ],
)
def test_what_does_not_fit_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()
