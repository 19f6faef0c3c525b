import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from lib.data.sample import CaptionSet


@settings(deadline=None)
@given(text=st.text(), marks=st.lists(st.sampled_from("\ufeff\x00\x07\x1b\x7f\u200b\u202e\u2066\u00ad"), max_size=4))
def test_marks_are_taken_out_and_counted(text, marks):
    """A caption with marks anywhere is the caption without them, and no control character is left."""
    plain, marked = CaptionSet(), CaptionSet()
    plain.add("en", text)
    marked.add("en", "".join(marks) + text + "".join(marks[::-1]))
    assert marked.by_language == plain.by_language or "\x1b" in marks  # an escape takes what follows with it
    assert marked.marked == (bool(marks) or plain.marked)
    for caption in marked.by_language.get("en", []):
        assert not any(unicodedata.category(char) == "Cc" for char in caption) and "\ufeff" not in caption


def test_joiners_and_escape_sequences():
    captions = CaptionSet()
    captions.add("fa", ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\x1b[1;31mred\x1b[0m cat", "👩\u200d🔬"])
    assert captions.by_language == {"fa": ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "red cat", "👩\u200d🔬"]}
    assert captions.marked == 1


def test_a_caption_with_a_mark_is_no_second_caption():
    captions = CaptionSet()
    captions.add_record({"caption": "\ufeffa cat", "caption_zh": ["\u732b", None, 3, ""], "captions": "no"})
    captions.add("en", "a  cat\n")
    assert captions.by_language == {"en": ["a cat"], "zh": ["\u732b"]} and captions.marked == 1


def test_many_captions_of_one_picture_are_not_compared_with_each_other():
    captions = CaptionSet()
    for index in range(200_000):  # compared with each other they would take a quarter of an hour
        captions.add("en", f"caption {index}")
    assert len(captions.by_language["en"]) == 200_000
