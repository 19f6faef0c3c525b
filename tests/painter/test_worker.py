"""What is refused before anything is drawn, and what the caller is told of a child that ended."""

import signal
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.errors import EaselError
from lib.painter import worker
from lib.painter.worker import CHEAP, Worker, check_prompts
from lib.text import TextTokenizer


class Counted:
    """A tokenizer that counts the letters that it splits."""

    def __init__(self, text):
        self.text, self.letters, self.calls = text, 0, 0

    def encode(self, captions, length):
        self.letters += sum(map(len, captions))
        self.calls += len(captions)
        return self.text.encode(captions, length)

    def __getattr__(self, name):
        return getattr(self.text, name)


@pytest.fixture(scope="module")
def text():
    return TextTokenizer.train(["a red star", "a blue circle", "红色的星形", "蓝色的圆形"] * 2, 400)


PROMPTS = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(["a", "red ", "star", " 红", "色的", "🦄", "\u0301", "  ", "ﷺ"]), max_size=40).map(
        "".join
    ),
)


@settings(deadline=None, max_examples=300)
@given(PROMPTS, st.integers(3, 60))
def test_a_prompt_is_refused_exactly_if_it_would_be_cut(text, prompt, length):
    counted = Counted(text)
    fits = text.normalise(prompt) and not text.count_truncated([prompt], length)
    try:
        check_prompts(counted, [prompt], length, "CLIP")
    except EaselError as error:
        assert not fits
        if text.normalise(prompt):
            needed = int(str(error).partition("too long: ")[2].split()[0])
            assert text.count_truncated([prompt], needed + 1) and not text.count_truncated([prompt], needed + 2)
    else:
        assert fits
    assert counted.calls <= 1


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(["🦄", "a", "红", "é ", "a red star "]), st.integers(CHEAP + 1, 100_000))
def test_an_endless_prompt_costs_nothing_and_is_not_printed_back(text, part, letters):
    counted = Counted(text)
    with pytest.raises(EaselError, match=r"is too long: \d+ letters, and CLIP reads 10 tokens") as refusal:
        check_prompts(counted, [part * letters], 12, "CLIP")
    assert counted.letters == 0 and len(str(refusal.value)) < 200


@pytest.mark.parametrize(
    ("program", "kind", "says"),
    [
        ("import sys; print('error: no such thing', file=sys.stderr); sys.exit(2)", EaselError, "^no such thing$"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", EaselError, "was killed; most often memory"),
        ("print('F0 1 a.cc:2] Unknown flag in XLA_FLAGS: --x', file=sys.stderr, flush=True); import os; os.abort()",
         EaselError, "JAX does not start: Unknown flag in XLA_FLAGS: --x"),
        ("1 / 0", RuntimeError, "status 1(.|\n)*ZeroDivisionError"),
        ("import os; os.abort()", RuntimeError, f"status {-signal.SIGABRT}"),
    ],
)  # fmt: skip
def test_a_child_that_ended_is_explained(program, kind, says, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--x")
    child = Worker(Path(), 1, 1)
    child.command = [sys.executable, "-c", f"import sys; sys.stdin.readline()\n{program}"]
    with pytest.raises(kind, match=says):
        child.sample(["a"], 1, 0, {})


def test_arguments_of_the_child_are_those_of_its_caller():
    assert worker.Worker(Path("a b"), 3, 2).command[-3:] == ["a b", "3", "2"]
