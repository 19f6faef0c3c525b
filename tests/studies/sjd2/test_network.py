"""Names of networks, taken apart and put together."""

import pytest

from studies.sjd2.code.network import Network


@pytest.mark.parametrize(
    ("text", "kind", "name", "file"),
    [
        ("small", "", "small", "small"),
        ("model:small", "model", "small", "model_small"),
        ("drafts:long", "drafts", "long", "drafts_long"),
        ("other:small", "", "other:small", "other_small"),  # which no section has
        ("model", "", "model", "model"),
    ],
)
def test_a_network_is_what_its_name_says(text, kind, name, file):
    found = Network.parse(text)
    assert (found, str(found), found.as_file) == (Network(kind, name), text, file)
