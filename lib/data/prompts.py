"""Which of the data set's prompts a study draws pictures for, and the numbers of its random streams."""

# Random streams are numbered by what they draw: prompts from 0, captions and ranked candidates from here.
CAPTION_ITEMS, RANKED_ITEMS = 1_000_000, 2_000_000


def first_of_each_category(prompts: list[dict], count: int) -> list[dict]:
    """The first `count` prompts of every category, in their order."""
    seen: dict[str, int] = {}
    kept = []
    for prompt in prompts:
        seen[prompt["category"]] = seen.get(prompt["category"], 0) + 1
        if seen[prompt["category"]] <= count:
            kept.append(prompt)
    return kept
