"""Meters: bytes of live tensors and their peak; rates and names of the device."""

import torch

from scaling.training.meters import LiveBytes, cpu_name, device_name, matmul_peak


def test_live_bytes_rise_and_fall_with_tensors() -> None:
    known = torch.zeros(100)
    with LiveBytes([known]) as meter:
        assert meter.current == 400
        a = torch.zeros(1000)
        view = a[10:]
        assert meter.current == 4400
        del a
        assert meter.current == 4400  # the view keeps the storage
        del view
        assert (meter.current, meter.peak) == (400, 4400)
        b = known + 1
        assert meter.current == 800
        b.untyped_storage().resize_(0)
        assert meter.current == 400
    torch.zeros(10_000)
    assert meter.peak == 4400


def test_the_device_has_a_rate_and_a_name() -> None:
    assert matmul_peak("cpu", "32-true", torch.get_num_threads()) > 1e8
    assert device_name(torch.device("cpu")) == cpu_name() != ""
