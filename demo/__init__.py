"""A page to paint and edit on, in a browser: `make demo`."""
