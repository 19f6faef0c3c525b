"""Easel's library: words and pictures → tokens → models → decoding → metrics → evidence."""
