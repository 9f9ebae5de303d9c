"""Sweeps: one network at many bit widths, on several boards, side by side.

``points`` are what is asked, ``run`` does it, ``store`` keeps every result as soon as it is there,
``table`` holds what came out.
"""
