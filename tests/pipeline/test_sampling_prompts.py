"""Which prompts are sampled."""

from lib.pipeline.sample_dalle_mini import first_of_each_category


def test_the_first_of_every_category_in_order():
    prompts = [{"id": f"{category}{i}", "category": category} for i in range(3) for category in ("a", "b")]
    assert [prompt["id"] for prompt in first_of_each_category(prompts, 2)] == ["a0", "b0", "a1", "b1"]
    assert first_of_each_category(prompts, 9) == prompts
