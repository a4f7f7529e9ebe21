"""Streams of a model on a device: the same bytes as on the CPU, and each reads the other's."""

import numpy as np
import pytest
from portable_streams import models

import quasistatic as qs
from pretend_device import pretending

MODELS = models()


@pytest.mark.parametrize("name", ["levels", "bits", "reals", "table", "digits"])
def test_a_device_and_the_cpu_read_each_other_s_streams(name):
    model, x = MODELS[name]
    x = x[:8]
    on_cpu = model.compress(x, 4, workers=1)
    with pretending() as device:
        model.to(device.type)
        on_device = model.compress(x, 4, workers=1)
        assert np.array_equal(model.decompress(on_cpu), x, equal_nan=True)
        native = model.compress(x, 4, workers=1, portable=False)
        assert np.array_equal(model.decompress(native), x, equal_nan=True)
        model.to("cpu")
    assert on_device == on_cpu
    assert np.array_equal(model.decompress(on_device), x, equal_nan=True)


@pytest.mark.parametrize("name", ["levels", "bits", "digits"])
def test_layers_of_a_device_and_of_the_cpu(name):
    model, x = MODELS[name]
    x = x[:2]
    on_cpu = qs.LayeredCodec(model, 3).compress(x)
    with pretending() as device:
        model.to(device.type)
        assert qs.LayeredCodec(model, 3).compress(x) == on_cpu
        found = qs.LayeredCodec(model, 3).decompress(on_cpu)
        model.to("cpu")
    assert found.t == 0
    assert np.array_equal(found.array, x)
