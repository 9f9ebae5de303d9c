// Read-only memory with a registered read, loaded from a .hex file. No reset: what a stale address
// reads is never used.
module rom #(
    parameter WIDTH = 8,
    parameter DEPTH = 16,
    parameter ADDRESS = 4,
    parameter BLOCK = 1,
    parameter FILE = "rom.hex"
) (
    input  wire               clk,
    input  wire [ADDRESS-1:0] address,
    output reg  [WIDTH-1:0]   data
);
    generate
        if (BLOCK) begin : block
            (* rom_style = "block", ram_style = "block" *) reg [WIDTH-1:0] words[0:DEPTH-1];
            initial $readmemh(FILE, words);
            always @(posedge clk) data <= words[address];
        end else begin : luts
            (* rom_style = "distributed", ram_style = "logic" *) reg [WIDTH-1:0] words[0:DEPTH-1];
            initial $readmemh(FILE, words);
            always @(posedge clk) data <= words[address];
        end
    endgenerate
endmodule
