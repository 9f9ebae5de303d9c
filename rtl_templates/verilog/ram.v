// Memory with one write port and one registered read port. A word is never read in the cycle that
// writes it, so what such a read would return does not matter.
module ram #(
    parameter WIDTH = 8,
    parameter DEPTH = 16,
    parameter ADDRESS = 4,
    parameter STYLE = "block"
) (
    input  wire               clk,
    input  wire               write,
    input  wire [ADDRESS-1:0] write_address,
    input  wire [WIDTH-1:0]   write_data,
    input  wire [ADDRESS-1:0] address,
    output reg  [WIDTH-1:0]   data
);
    (* ram_style = STYLE, no_rw_check *) reg [WIDTH-1:0] words[0:DEPTH-1];
    always @(posedge clk) begin
        if (write) words[write_address] <= write_data;
        data <= words[address];
    end
endmodule
