"""Networks from torch (and later QONNX, NIR) to integers, and the up-front support check."""

from hwgen.frontend.decomposed import is_quantised
from hwgen.frontend.events import are_events, load_events, trains_of
from hwgen.frontend.images import (
    Images,
    accuracy,
    as_array,
    count_of,
    first_of,
    load_calibration,
    quantise_input,
)
from hwgen.frontend.labels import load_labels
from hwgen.frontend.load import Source, load
from hwgen.frontend.pt2e import adopt
from hwgen.frontend.read import read
from hwgen.frontend.spiking import is_spiking

__all__ = [
    "Images",
    "Source",
    "accuracy",
    "adopt",
    "are_events",
    "as_array",
    "count_of",
    "first_of",
    "is_quantised",
    "is_spiking",
    "load",
    "load_calibration",
    "load_events",
    "load_labels",
    "quantise_input",
    "read",
    "trains_of",
]
