"""What hwgen makes of real networks, measured; results go to ``docs/benchmarks/``."""
