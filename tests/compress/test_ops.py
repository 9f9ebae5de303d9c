"""The torch ops that put floats on grids of integers."""

import torch

from hwgen.nn.quantize import binarize, fake_quantize

SCALE, ZERO = torch.tensor(0.5, dtype=torch.float64), torch.tensor(3)


def test_fake_quantize_is_torchs_own():
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0)).double() * 20
    expected = torch.fake_quantize_per_tensor_affine(x, 0.5, 3, 0, 15)
    torch.testing.assert_close(fake_quantize(x, SCALE, ZERO, 0, 15, -1), expected, rtol=0, atol=0)


def test_fake_quantize_by_channel_is_torchs_own():
    x = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0))
    scale, zero = (
        torch.tensor([0.5, 0.25, 1.0, 2.0, 0.125]),
        torch.tensor([0, 1, 2, 3, 4], dtype=torch.int32),
    )
    expected = torch.fake_quantize_per_channel_affine(x, scale, zero, 1, -8, 7)
    torch.testing.assert_close(fake_quantize(x, scale, zero, -8, 7, 1), expected, rtol=0, atol=0)


def test_what_is_on_the_grid_stays():
    x = torch.randn(50).float()
    once = fake_quantize(x, SCALE, ZERO, 0, 15, -1)
    assert torch.equal(fake_quantize(once, SCALE, ZERO, 0, 15, -1), once)


def test_binarize_is_a_sign_with_a_scale():
    x = torch.tensor([[-3.0, 0.0], [0.1, -0.1]])
    y = binarize(x, torch.tensor([2.0, 0.5]), 0)
    assert y.tolist() == [[-2.0, 2.0], [0.5, -0.5]]


def test_gradients_pass_straight_through():
    x = torch.tensor([-9.0, -1.0, 0.2, 5.9, 99.0], requires_grad=True)
    fake_quantize(x, SCALE, ZERO, 0, 15, -1).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
    y = torch.tensor([-9.0, 9.0], requires_grad=True)
    binarize(y, SCALE, -1).sum().backward()
    assert y.grad.tolist() == [1.0, 1.0]


def test_torch_finds_no_fault_with_them():
    x = torch.randn(3, 4, requires_grad=True)
    scale, zero = torch.rand(3).double() + 0.1, torch.zeros(3, dtype=torch.int64)
    # All of torch's checks but the one of the schema, which trips over any .to() inside an op.
    checks = ("test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    torch.library.opcheck(fake_quantize, (x, scale, zero, -4, 3, 0), test_utils=checks)
    torch.library.opcheck(binarize, (x, scale, 0), test_utils=checks)
