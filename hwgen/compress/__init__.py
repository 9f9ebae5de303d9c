"""Torch to torch: networks made smaller, still in floats, before integers are read from them."""

from hwgen.compress.compare import Difference, compare
from hwgen.compress.decisions import Decisions, decisions, domain_loss
from hwgen.compress.domain import to_winograd
from hwgen.compress.quantize import quantize
from hwgen.compress.settings import Settings
from hwgen.compress.spiking import distance, spiking_network
from hwgen.compress.srbs import Domain, masks_of, prune_srbs
from hwgen.compress.train import Progress, Recipe, train

__all__ = [
    "Decisions",
    "Difference",
    "Domain",
    "Progress",
    "Recipe",
    "Settings",
    "compare",
    "decisions",
    "distance",
    "domain_loss",
    "masks_of",
    "prune_srbs",
    "quantize",
    "spiking_network",
    "to_winograd",
    "train",
]
