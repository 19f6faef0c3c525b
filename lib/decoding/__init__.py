"""Samplers: token by token or in parallel, over any network that predicts logits."""
