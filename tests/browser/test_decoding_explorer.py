"""The decoding explorer in a real browser: sliders, drawing, running, keyboard."""

import pytest
import torch
from benchmarks.decoding_equivalence import VOCABULARY, letter_tokenizer, tiny_model
from browser.widget_page import CHROMIUM, shown

from course_utils import decoding
from course_utils.language_model import LanguageModel
from course_utils.lessons.widgets.decoding_explorer import DecodingExplorer

SYNCED = [
    "prompt",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "seed",
    "logits",
    "pieces",
    "history",
    "ended",
    "chosen",
    "problem",
]
needs_browser = pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"needs a browser at {CHROMIUM} (Debian package chromium)"
)


@pytest.fixture
def explorer():
    return DecodingExplorer(LanguageModel(tiny_model(1), letter_tokenizer(), "tiny"), "abc")


@pytest.fixture
def page(explorer):
    with shown(explorer, SYNCED) as page:
        yield page


def slide(page, label, value):
    page.get_by_label(label).evaluate(
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }", value
    )


def kept_tokens(page):
    return page.locator("tr.course-kept:visible").count()


@needs_browser
@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.5},
        {"temperature": 2.0},
        {"top_k": 3},
        {"top_p": 0.8},
        {"min_p": 0.2},
        {"temperature": 1.5, "top_k": 9, "top_p": 0.9, "min_p": 0.05},
    ],
)
def test_the_browser_shows_what_the_python_filters_compute(explorer, page, settings):
    labels = {"temperature": "Temperature", "top_k": "Top-k", "top_p": "Top-p", "min_p": "Min-p"}
    for name, value in settings.items():
        slide(page, labels[name], value)
        setattr(explorer, name, value)
    heated, filtered = explorer.filtered()
    kept = int((filtered > -float("inf")).sum())
    summary = page.locator(".course-summary").inner_text()
    assert f"Kept {kept} of {VOCABULARY} tokens" in summary
    assert f"{float(decoding.kept_mass(heated, filtered)):.1%} of the mass" in summary
    assert f"Entropy {float(decoding.entropy(filtered)):.2f} bits" in summary
    first = page.locator("tr").first.inner_text()
    assert f"{float(filtered.softmax(-1).max()):.1%}" in first


@needs_browser
def test_a_slider_never_asks_the_kernel(explorer, page):
    explorer._read = None  # any question to the model would now fail
    for value in (0.3, 1.0, 2.5):
        slide(page, "Temperature", value)
    slide(page, "Top-k", 2)
    assert kept_tokens(page) == 2


@needs_browser
def test_dropped_tokens_are_named_in_words_and_not_by_colour_alone(page):
    slide(page, "Top-k", 2)
    assert "dropped" in page.locator("tr").nth(2).inner_text()
    assert "dropped" not in page.locator("tr").nth(1).inner_text()


@needs_browser
def test_drawing_appends_the_token_and_moves_to_the_next_distribution(explorer, page):
    before = explorer.logits
    page.get_by_role("button", name="Draw a token").click()
    page.wait_for_function("document.querySelectorAll('mark').length === 1")
    assert explorer.history[0]["piece"] == page.locator("mark").inner_text()
    assert explorer.logits != before
    assert "Drawn:" in page.locator("[aria-live]").inner_text()


@needs_browser
def test_a_run_draws_twenty_tokens_and_its_seed_repeats_it(explorer, page):
    explorer._language_model.tokenizer.eos_token_id = None
    texts = []
    for _ in range(2):
        page.get_by_role("button", name="Run 20").click()
        page.wait_for_function("document.querySelectorAll('mark').length === 20")
        texts.append(page.locator(".course-history").inner_text())
        page.get_by_role("button", name="Start again").click()
        page.wait_for_function("document.querySelectorAll('mark').length === 0")
    assert texts[0] == texts[1]


@needs_browser
def test_draws_follow_the_probabilities(page):
    slide(page, "Top-k", 3)
    probability = float(page.locator("tr").first.inner_text().split()[-1].rstrip("%")) / 100
    counted = page.evaluate(
        """async () => {
            const sent = [], ask = window.model.save_changes;
            window.model.save_changes = () => sent.push(window.model.get("chosen").probability);
            const button = [...document.querySelectorAll("button")][0];
            for (let i = 0; i < 3000; i += 1) button.click();
            window.model.save_changes = ask;
            return sent;
        }"""
    )
    share = sum(abs(p - probability) < 6e-4 for p in counted) / len(counted)
    assert share == pytest.approx(probability, abs=0.04)


@needs_browser
def test_everything_is_reached_and_moved_with_the_keyboard(page):
    page.get_by_label("Prompt to continue").focus()
    page.keyboard.press("Tab")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert page.locator("output").first.inner_text() == "1.25"
    for _ in range(4):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelectorAll('mark').length === 1")


@needs_browser
def test_a_prompt_of_ones_own_starts_again_and_an_empty_one_says_so(explorer, page):
    prompt = page.get_by_label("Prompt to continue")
    prompt.fill("cab")
    prompt.blur()
    page.wait_for_function("document.querySelector('.course-history').textContent === 'cab'")
    assert explorer.prompt == "cab"
    prompt.fill("")
    prompt.blur()
    page.wait_for_function("document.querySelector('[role=alert]').textContent !== ''")
    assert "prompt is empty" in page.get_by_role("alert").inner_text()
    assert page.get_by_role("button", name="Draw a token").is_disabled()


def test_without_a_browser_it_is_a_figure_with_words(explorer):
    explorer.top_k = 5
    data, metadata = explorer._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert "kept 5 of 24 tokens" in metadata["image/png"]["alt"]


def test_the_filters_are_those_of_the_library_s_order(explorer):
    from transformers import GenerationConfig

    settings = {"temperature": 1.7, "top_k": 9, "top_p": 0.8, "min_p": 0.1}
    for name, value in settings.items():
        setattr(explorer, name, value)
    config = GenerationConfig(do_sample=True, **settings)
    expected = decoding.reshape_logits(explorer._logits[None], config)[0]
    assert torch.equal(explorer.filtered()[1], expected)
