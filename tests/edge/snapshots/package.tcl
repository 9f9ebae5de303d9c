# Packages my_net for Vivado's IP catalogue:  vivado -mode batch -source package.tcl
#
# Written by hwgen, which does not run Vivado: this script has not been run. Result: ./packaged
set here [file dirname [file normalize [info script]]]
set rtl [file join $here .. rtl]

create_project -force my_net_ip [file join $here project]
set_property target_language Verilog [current_project]
foreach name { accelerator.v accelerator_axi.v rom.v } {
    add_files -norecurse [file join $rtl $name]
}
# Contents of memories, read by $readmemh at synthesis.
foreach name { conv_weights.hex fc_weights.hex } {
    set added [add_files -norecurse [file join $rtl $name]]
    set_property file_type {Memory File} $added
}
set_property top accelerator_axi [current_fileset]
update_compile_order -fileset sources_1

ipx::package_project -root_dir [file join $here packaged] -vendor user -library user \
    -taxonomy /UserIP -import_files -set_current true -force
set core [ipx::current_core]
set_property name my_net $core
set_property version 1.0 $core
set_property display_name {my_net} $core
set_property description {Network 0123456789abcdef, emitted by hwgen} $core

# Interfaces follow from the names of the ports.
ipx::infer_bus_interface aclk xilinx.com:signal:clock_rtl:1.0 $core
ipx::infer_bus_interface aresetn xilinx.com:signal:reset_rtl:1.0 $core
set_property value ACTIVE_LOW [ipx::add_bus_parameter POLARITY \
    [ipx::get_bus_interfaces aresetn -of_objects $core]]
ipx::associate_bus_interfaces -busif s_axis -clock aclk $core
ipx::associate_bus_interfaces -busif m_axis -clock aclk $core
ipx::associate_bus_interfaces -busif s_axi_control -clock aclk $core
ipx::associate_bus_interfaces -clock aclk -reset aresetn $core

# The register file.
foreach map [ipx::get_memory_maps -of_objects $core] {
    ipx::remove_memory_map [get_property name $map] $core
}
set map [ipx::add_memory_map s_axi_control $core]
set_property slave_memory_map_ref s_axi_control [ipx::get_bus_interfaces s_axi_control -of_objects $core]
set block [ipx::add_address_block registers $map]
set_property range 4096 $block
set_property width 32 $block
set_property usage register $block
set one [ipx::add_register MAGIC $block]
set_property address_offset 0x00 $one
set_property size 32 $one
set_property access read-only $one
set_property description {0x6E677768, the letters hwgn} $one
set one [ipx::add_register VERSION $block]
set_property address_offset 0x04 $one
set_property size 32 $one
set_property access read-only $one
set_property description {of this register map: 1} $one
set one [ipx::add_register HASH_LOW $block]
set_property address_offset 0x08 $one
set_property size 32 $one
set_property access read-only $one
set_property description {bits 31..0 of the network's hash} $one
set one [ipx::add_register HASH_HIGH $block]
set_property address_offset 0x0C $one
set_property size 32 $one
set_property access read-only $one
set_property description {bits 63..32 of it} $one
set one [ipx::add_register CONTROL $block]
set_property address_offset 0x10 $one
set_property size 32 $one
set_property access read-write $one
set_property description {bit 0: while 1, the accelerator and what is counted are reset} $one
set one [ipx::add_register ERRORS $block]
set_property address_offset 0x14 $one
set_property size 32 $one
set_property access read-write $one
set_property description {bits 4k..4k+2, of input k: early, missing, retracted} $one
set one [ipx::add_register FRAMES $block]
set_property address_offset 0x18 $one
set_property size 32 $one
set_property access read-only $one
set_property description {frames that have left whole since reset, modulo 2^32} $one
set one [ipx::add_register CYCLES $block]
set_property address_offset 0x1C $one
set_property size 32 $one
set_property access read-only $one
set_property description {for how long the last of them was the oldest one inside} $one

ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
close_project
