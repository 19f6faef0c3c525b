"""Sizes of this study's pictures, in pixels a side."""

PICTURE = 64  # of all models; twice as large for super-resolution
