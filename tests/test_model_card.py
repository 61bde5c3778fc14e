"""A model card has every section, in order, and no gap."""

import pytest

from course_utils.comparison import Interval
from course_utils.model_card import SECTIONS, model_card

FULL = {title: f"About {title.lower()}." for title in SECTIONS}


def test_the_sections_come_in_the_papers_order():
    card = model_card("m", dict(reversed(FULL.items())))
    places = [card.index(f"## {title}\n") for title in SECTIONS]
    assert card.startswith("# Model card: m\n")
    assert places == sorted(places)


def test_measurements_become_a_table():
    table = {"recall@3 | dense": Interval(86.7, 78.3, 95.0), "n": 60}
    card = model_card("m", FULL | {"Quantitative analyses": table})
    assert "| recall@3 \\| dense | 86.7 [78.3, 95.0] |\n| n | 60 |" in card


def test_a_card_with_a_gap_is_refused():
    with pytest.raises(ValueError, match=r"lacks 'Factors'.*'unknown'"):
        model_card("m", {title: text for title, text in FULL.items() if title != "Factors"})
    with pytest.raises(ValueError, match="lacks 'Metrics'"):
        model_card("m", FULL | {"Metrics": ""})
    with pytest.raises(ValueError, match="no section 'Hype'"):
        model_card("m", FULL | {"Hype": "x"})
