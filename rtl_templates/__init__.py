"""Amaranth components: engines, and the parts they are made of."""

from typing import Protocol

from hwgen.beats import Beats
from hwgen.network import (
    Add,
    Concat,
    Conv2d,
    FirstSpike,
    Leaky,
    Linear,
    MaxPool2d,
    Op,
    Pad2d,
    RateCode,
    Requantise,
    Slice,
    SpikeCount,
    SpikingLinear,
    SumPool2d,
    Threshold,
    Upsample2d,
    WinogradConv2d,
)
from hwgen.primitives import Part
from hwgen.rtl_templates.channelwise import ChannelwiseSpec
from hwgen.rtl_templates.concat import ConcatSpec
from hwgen.rtl_templates.conv import ConvSpec
from hwgen.rtl_templates.convert import ConvertSpec
from hwgen.rtl_templates.edges import PadSpec, SliceSpec
from hwgen.rtl_templates.fifo import FifoSpec
from hwgen.rtl_templates.join import AddSpec, ForkSpec
from hwgen.rtl_templates.memory import VerilogTarget
from hwgen.rtl_templates.multiply import Style
from hwgen.rtl_templates.requantise import RequantiseSpec
from hwgen.rtl_templates.spike_coding import RateSpec, ReadoutSpec
from hwgen.rtl_templates.spiking import LeakySpec, SpikingSpec
from hwgen.rtl_templates.srbs import SparseSpec
from hwgen.rtl_templates.threshold import ThresholdSpec
from hwgen.rtl_templates.upsample import UpsampleSpec
from hwgen.rtl_templates.winograd import WinogradSpec
from hwgen.schedule import Schedule

__all__ = [
    "ENGINES",
    "AddSpec",
    "ChannelwiseSpec",
    "ConcatSpec",
    "ConvSpec",
    "ConvertSpec",
    "FifoSpec",
    "ForkSpec",
    "LeakySpec",
    "PadSpec",
    "RateSpec",
    "ReadoutSpec",
    "RequantiseSpec",
    "SliceSpec",
    "SparseSpec",
    "Spec",
    "SpikingSpec",
    "Style",
    "ThresholdSpec",
    "UpsampleSpec",
    "VerilogTarget",
    "WinogradSpec",
]


class Spec(Protocol):
    """What every engine and every piece of plumbing has.

    Engines also have ``ops`` and ``foldings(op, family)``.
    """

    @property
    def inputs(self) -> tuple[Beats, ...]: ...
    @property
    def outputs(self) -> tuple[Beats, ...]: ...
    def schedule(self) -> Schedule: ...
    def primitives(self) -> list[Part]: ...
    def create(self, name: str): ...


#: The engines that can do each op.
ENGINES: dict[type[Op], tuple[type, ...]] = {
    Conv2d: (ConvSpec, ChannelwiseSpec, WinogradSpec, SparseSpec),
    WinogradConv2d: (WinogradSpec, SparseSpec),
    Linear: (ConvSpec, SparseSpec),
    MaxPool2d: (ChannelwiseSpec,),
    SumPool2d: (ChannelwiseSpec,),
    Add: (AddSpec,),
    Concat: (ConcatSpec,),
    Slice: (SliceSpec,),
    Pad2d: (PadSpec,),
    Upsample2d: (UpsampleSpec,),
    Requantise: (RequantiseSpec,),
    Threshold: (ThresholdSpec,),
    RateCode: (RateSpec,),
    Leaky: (LeakySpec,),
    SpikingLinear: (SpikingSpec,),
    SpikeCount: (ReadoutSpec,),
    FirstSpike: (ReadoutSpec,),
}
