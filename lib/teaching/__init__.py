"""What the notebooks of notebooks/play/ share: tiny pictures and laws, claims and sources in cells, figures."""
