"""Training: one loop for both frameworks, with checkpoints, exact resume and progress."""
