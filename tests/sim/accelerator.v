// A small accelerator by hand, in the shape of an emitted one, with faults that can be planted
// without building anew: word 0 of fault.hex is the kind, word 1 the beat it strikes.
//
// 3 x 4 x 5 u8, 2 lanes  ->  features.0: requantise to s6, weights in scale.hex
//                        ->  features.1: max-pool (1, 2)
//                        ->  head: s6 to s8, gathered to one beat of 2 pixels x 5 lanes a row

module accelerator(
  input aclk, input aresetn,
  input [15:0] s_axis_tdata, input s_axis_tvalid, output s_axis_tready,
  output [79:0] m_axis_tdata, output m_axis_tvalid, input m_axis_tready, output m_axis_tlast
);
  localparam [15:0] NONE = 0, DROP = 1, LAST_MISSING = 2, LAST_EARLY = 3, STUCK = 4, UNHELD = 5,
                    RETRACT = 6, REPEAT = 7, NO_RESET = 8, WRONG = 9, ASSERTION = 10;
  reg [15:0] fault [0:1];
  reg [31:0] scale [0:2];
  initial begin
    $readmemh("fault.hex", fault);
    $readmemh("scale.hex", scale);
  end
  wire rst = ~aresetn;
  wire [15:0] kind = fault[0], strike = fault[1];

  wire [15:0] x__payload = s_axis_tdata;
  wire x__valid = s_axis_tvalid;
  wire x__ready;
  assign s_axis_tready = x__ready;

  // features.0
  reg [11:0] features_0__payload = 0;
  reg features_0__valid = 0;
  wire features_0__ready;
  reg [1:0] fold = 0;
  reg [15:0] taken = 0;  // beats since power-up
  wire hit = taken == strike;
  assign x__ready = (features_0__ready | ~features_0__valid) & ~(kind == STUCK & hit);

  // A function, not plain wires: with its defaults, Verilator 5.48 extends x from bit 7 here.
  function [5:0] requantise(input [7:0] x, input [15:0] m);
    reg signed [31:0] y;
    begin
      y = $signed({1'b0, x}) * $signed({1'b0, m});
      y = ((y + 128) >>> 8) - 20;
      requantise = y > 31 ? 6'd31 : y < -32 ? -6'd32 : y[5:0];
    end
  endfunction
  wire [31:0] m = scale[fold];
  wire [5:0] low = requantise(x__payload[7:0], m[15:0]);
  wire [5:0] high = requantise(x__payload[15:8], m[31:16]);

  always @(posedge aclk) begin
    if (features_0__ready | ~features_0__valid) begin
      features_0__valid <= x__valid & x__ready & ~(kind == DROP & hit);
      if (x__valid & x__ready) begin
        features_0__payload <= {fold == 2 ? 6'd0 : high, low};
        fold <= fold == 2 ? 0 : fold + 1;
        taken <= taken + 1;
      end
    end else if (kind == UNHELD & taken == strike + 1)
      features_0__payload <= features_0__payload + 1;
    else if (kind == RETRACT & taken == strike + 1)
      features_0__valid <= 0;
    if (rst) begin
      features_0__valid <= 0;
      fold <= 0;
    end
  end

  // features.1
  reg [11:0] features_1__payload = 0;
  reg features_1__valid = 0;
  wire features_1__ready;
  reg [11:0] first [0:3];
  reg [2:0] step = 0;
  reg [15:0] pooled = 0;
  assign features_0__ready = features_1__ready | ~features_1__valid;
  wire [2:0] hold = step < 3 ? step : step - 3;
  wire signed [5:0] a = first[hold[1:0]][5:0], b = features_0__payload[5:0];
  wire signed [5:0] c = first[hold[1:0]][11:6], d = features_0__payload[11:6];
  always @(posedge aclk) begin
    if (features_0__ready) begin
      features_1__valid <= features_0__valid & step >= 3;
      if (features_0__valid) begin
        if (step < 3) first[hold[1:0]] <= features_0__payload;
        features_1__payload <= {c > d ? c : d, a > b ? a : b};
        if (kind == WRONG & step >= 3 & pooled == strike)
          features_1__payload <= {c > d ? c : d, (a > b ? a : b) ^ 6'd4};
        step <= step == 5 ? 0 : step + 1;
        if (step >= 3) pooled <= pooled + 1;
      end
    end
    if (rst) begin
      features_1__valid <= 0;
      if (kind != NO_RESET) step <= 0;
    end
  end

  // head
  reg [79:0] head__payload = 0;
  reg head__valid = 0;
  wire head__ready;
  reg [2:0] part = 0;
  reg [1:0] row = 0;
  reg [15:0] sent = 0;
  assign features_1__ready = head__ready | ~head__valid;
  wire [7:0] low8 = {{2{features_1__payload[5]}}, features_1__payload[5:0]};
  wire [7:0] high8 = {{2{features_1__payload[11]}}, features_1__payload[11:6]};
  wire [15:0] wide = {high8 + 8'd20, low8 + 8'd20};
  always @(posedge aclk) begin
    if (features_1__ready) begin
      head__valid <= features_1__valid & part == 5;
      if (features_1__valid) begin
        case (part)
          0: head__payload[15:0] <= wide;
          1: head__payload[31:16] <= wide;
          2: head__payload[39:32] <= wide[7:0];
          3: head__payload[55:40] <= wide;
          4: head__payload[71:56] <= wide;
          5: head__payload[79:72] <= wide[7:0];
        endcase
        part <= part == 5 ? 0 : part + 1;
      end
    end
    if (head__valid & head__ready) begin
      if (kind == REPEAT & sent == strike) head__valid <= 1;
      else row <= row == 2 ? 0 : row + 1;
      sent <= sent + 1;
    end
    if (rst) begin
      head__valid <= 0;
      part <= 0;
      row <= 0;
    end
  end
  assign m_axis_tdata = head__payload;
  assign m_axis_tvalid = head__valid;
  assign head__ready = m_axis_tready;
  wire struck = sent == strike;
  assign m_axis_tlast = kind == LAST_MISSING & struck ? 0 : kind == LAST_EARLY & struck ? 1 : row == 2;

  always @(posedge aclk)
    if (kind == ASSERTION & taken == strike) assert (0);
endmodule
