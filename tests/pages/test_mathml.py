"""Formulas as MathML: shape, order, what is refused."""

import xml.etree.ElementTree as ElementTree

import pytest

from lib.errors import EaselError
from pages.mathml import convert


def shape(latex, display=False):
    """The elements without the annotation, as nested lists of tag or tag=text."""

    def of(element):
        below = [of(child) for child in element]
        return [element.tag, *below] if below else f"{element.tag}={element.text or ''}"

    row = ElementTree.fromstring(convert(latex, display))[0][0]
    return [of(child) for child in row]


def test_letters_numbers_signs():
    assert shape("a-2.5") == ["mi=a", "mo=−", "mn=2.5"]
    assert shape(r"\sigma \otimes x") == ["mi=σ", "mo=⊗", "mi=x"]


def test_scripts_stand_where_latex_puts_them():
    assert shape("e_i^{s}") == [["msubsup", "mi=e", "mi=i", ["mrow", "mi=s"]]]
    assert shape("e^{s}_i") == shape("e_i^{s}")
    assert shape(r"\max_v", display=True) == [["munder", "mo=max", "mi=v"]]
    assert shape(r"\max_v") == [["msub", "mo=max", "mi=v"]]


def test_fractions_accents_words():
    assert shape(r"\frac{p}{q}") == [["mfrac", ["mrow", "mi=p"], ["mrow", "mi=q"]]]
    assert shape(r"\hat x") == [["mover", "mi=x", "mo=^"]]
    assert shape(r"\text{FFN}") == ["mtext=FFN"]


def test_the_latex_is_kept_for_those_who_copy_it():
    assert ElementTree.fromstring(convert("a<b"))[0][1].text == "a<b"


@pytest.mark.parametrize("latex", [r"\unknown", "{a", r"\frac{a}", "a}", "^2", r"\text a", r"\mathcal{Q}"])
def test_what_is_not_known_is_refused_and_named(latex):
    with pytest.raises(EaselError, match="formula"):
        convert(latex)
