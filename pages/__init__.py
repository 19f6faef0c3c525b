"""The pages: a site that shows what was claimed, tested and found, made from what Git tracks and from nothing else."""
