"""Plan to build directory."""

from hwgen.emit.build import check_target, write_build
from hwgen.emit.ip import write_ip
from hwgen.emit.rtl import rtl_files

__all__ = ["check_target", "rtl_files", "write_build", "write_ip"]
