"""One thread for torch: the networks here are small, and pytest-xdist uses the other cores."""

import torch

torch.set_num_threads(1)
