"""How good estimates of area are, and the constants that make them so: ``hwgen calibrate``."""
