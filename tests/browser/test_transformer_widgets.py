"""The attention browser and the token view in a real browser: numbers, keyboard, own text."""

import re

import pytest
import torch
from benchmarks.decoding_equivalence import letter_tokenizer
from browser.widget_page import CHROMIUM, shown

from course_utils.lessons.widgets.attention_browser import AttentionBrowser
from course_utils.lessons.widgets.token_view import TokenView

needs_browser = pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"needs a browser at {CHROMIUM} (Debian package chromium)"
)
BROWSER_TRAITS = ["text", "tokens", "layers", "heads", "weights", "layer", "head", "problem"]


def read(text):
    tokens = text.split()
    if not tokens:
        raise ValueError("The sequence is empty: give at least one token.")
    torch.manual_seed(0)
    scores = torch.randn(3, 2, len(tokens), len(tokens)) * 2
    future = torch.ones(len(tokens), len(tokens)).triu(1).bool()
    return tokens, scores.masked_fill(future, -torch.inf).softmax(-1)


@pytest.fixture
def page():
    with shown(AttentionBrowser(read, "one two three four", layer=1), BROWSER_TRAITS) as page:
        yield page


def tokens(page):
    return page.locator(".course-tokens button")


def heads(page):
    return page.locator(".course-heads button")


def percentages(page):
    return [
        int(text.strip("%") or 0) if text else 0
        for text in page.locator(".course-tokens .course-id").all_inner_texts()
    ]


def expected(text, layer, head, token):
    return [round(100 * float(share)) for share in read(text)[1][layer, head, token]]


@needs_browser
def test_every_head_is_a_button_and_the_last_token_is_shown_in_numbers(page):
    assert heads(page).count() == 6
    assert heads(page).nth(3).get_attribute("aria-label") == "Layer 1, head 1"
    assert page.locator("h4").inner_text() == "Layer 1, head 0"
    shown_now = percentages(page)
    wanted = expected("one two three four", 1, 0, 3)
    assert all(abs(a - b) <= 1 for a, b in zip(shown_now, wanted, strict=True))


@needs_browser
def test_hovering_a_token_shows_where_it_looks(page):
    tokens(page).nth(1).hover()
    shown_now = percentages(page)
    wanted = expected("one two three four", 1, 0, 1)
    assert all(abs(a - b) <= 1 for a, b in zip(shown_now, wanted, strict=True))
    assert page.locator(".course-detail").inner_text().startswith('Token 2, "two", gives')


@needs_browser
def test_arrow_keys_walk_over_heads_and_tokens(page):
    page.locator(".course-heads button[tabindex='0']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.locator("h4").inner_text() == "Layer 2, head 1"
    page.keyboard.press("ArrowDown")  # already at the edge
    assert page.locator("h4").inner_text() == "Layer 2, head 1"
    page.locator(".course-tokens button[tabindex='0']").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator(".course-detail").inner_text().startswith('Token 3, "three"')
    shown_now = percentages(page)
    wanted = expected("one two three four", 2, 1, 2)
    assert all(abs(a - b) <= 1 for a, b in zip(shown_now, wanted, strict=True))


@needs_browser
def test_the_chosen_head_and_token_are_marked_without_colour(page):
    assert page.locator(".course-heads button[aria-pressed='true']").count() == 1
    assert page.locator(".course-tokens button[aria-pressed='true']").count() == 1
    assert page.locator("[aria-live]").count() == 1


@needs_browser
def test_a_text_of_the_learners_own_is_read_and_a_bad_one_says_why(page):
    field = page.get_by_label("Text to read")
    field.fill("five six")
    field.press("Enter")
    page.wait_for_function("document.querySelectorAll('.course-tokens button').length === 2")
    field.fill(" ")
    field.press("Enter")
    page.wait_for_function("document.querySelector('[role=alert]').textContent !== ''")
    assert "empty" in page.get_by_role("alert").inner_text()
    assert tokens(page).count() == 2


@needs_browser
def test_the_token_view_cuts_what_is_typed_and_walks_by_arrow_keys():
    with shown(TokenView(letter_tokenizer(), "ab"), ["text", "tokens", "summary"]) as page:
        assert tokens(page).count() == 2
        page.get_by_label("Text to cut into tokens").fill("abcde")
        page.wait_for_function("document.querySelectorAll('.course-tokens button').length === 5")
        assert page.locator(".course-summary").inner_text().startswith("5 tokens for 5 characters")
        tokens(page).first.focus()
        page.keyboard.press("ArrowRight")
        detail = page.locator(".course-detail").inner_text()
        assert re.match(r'Token 2: "b", id \d+, bytes 62', detail)
