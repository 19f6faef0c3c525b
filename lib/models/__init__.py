"""Network families, one a file; none knows how it is trained or sampled."""
