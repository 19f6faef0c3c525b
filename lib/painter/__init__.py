"""From prompts to pictures: trained networks, samplers and tokenizers put together."""
