"""Why a claim has its verdict, in words."""

from types import SimpleNamespace

import pytest

from pages import claims

pytestmark = pytest.mark.xdist_group("pages")


@pytest.mark.parametrize(
    ("equals", "sentence", "said"),
    [
        (True, "Equal: expected True, found True.", "What was tested had to hold, and it does."),
        (True, "Not equal: expected True, found False.", "What was tested had to hold, and it does not."),
        (False, "Equal: expected False, found False.", "What was tested must not hold, and it does not."),
        (False, "Not equal: expected False, found True.", "What was tested must not hold, and it does."),
        (6.8, "Equal: expected 6.8, found 6.8.", "It had to be 6.8, and it is."),
        ([27], "Not equal: expected [27], found [28].", "It had to be 27, and it is not."),
        (True, "Not attempted: it needs a GPU.", "Not attempted: it needs a GPU."),
    ],
)
def test_two_values_beside_each_other_become_words(equals, sentence, said):
    claim = SimpleNamespace(id="C1", metric=SimpleNamespace(kind="exact", equals=equals))
    made = SimpleNamespace(verdicts={"C1": (0, {"sentence": sentence})})
    assert claims.reason(made, claim) == said


def test_no_reason_reads_like_a_program(material):
    for claim in material.ledger.claims:
        assert "expected" not in claims.reason(material, claim), claim.id
