// Small memory with one write port, read in the same cycle.
module lutram #(
    parameter WIDTH = 8,
    parameter DEPTH = 16,
    parameter ADDRESS = 4,
    parameter STYLE = "distributed"
) (
    input  wire               clk,
    input  wire               write,
    input  wire [ADDRESS-1:0] write_address,
    input  wire [WIDTH-1:0]   write_data,
    input  wire [ADDRESS-1:0] address,
    output wire [WIDTH-1:0]   data
);
    (* ram_style = STYLE *) reg [WIDTH-1:0] words[0:DEPTH-1];
    always @(posedge clk) if (write) words[write_address] <= write_data;
    assign data = words[address];
endmodule
