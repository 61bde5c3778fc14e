"""A call is checked before it runs, arithmetic is all that the calculator does, the loop ends."""

import contextlib
import json
import re
import threading
from datetime import datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.evaluation import multiple_choice
from course_utils.language_model.completion import Completion, Score
from course_utils.tools import (
    CALCULATOR,
    Call,
    Tool,
    ToolError,
    calculate,
    clock_tool,
    fill_calls,
    read_call,
    run_call,
    tool_loop,
)

CLOCK = clock_tool(datetime(2031, 3, 14, 15, 9))
TOOLS = [CALCULATOR, CLOCK]


def call(name, **arguments):
    return json.dumps({"name": name, "arguments": arguments})


# ---- reading a call


def test_a_call_is_read_from_the_text_around_it():
    text = f"Sure: {call('clock', part='time')} is what I need."
    assert read_call(text, TOOLS) == Call("clock", {"part": "time"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("It is noon.", "no JSON object"),
        ('{"name": "clock", ', "Malformed JSON at character 18"),
        ("{'name': 'clock'}", "Malformed JSON at character 1"),
        ('{"name": "clock"}', "the call: 'arguments' is a required property"),
        ('{"name": 7, "arguments": {}}', "name: 7 is not of type 'string'"),
        ('{"name": "clock", "arguments": []}', r"arguments: \[\] is not of type 'object'"),
        ('{"name": "clock", "arguments": {}, "x": 1}', "the call: Additional properties.*'x'"),
        (call("shell", command="ls"), "Unknown tool 'shell': there are calculator, clock"),
        (call("clock"), "arguments: 'part' is a required property"),
        (call("clock", part="year"), "arguments.part: 'year' is not one of"),
        (call("calculator", expression=5), "arguments.expression: 5 is not of type 'string'"),
        (call("calculator", expression="1", sudo=True), "arguments: Additional.*'sudo'"),
        ("{" * 100_000, "Malformed JSON|too large"),
        ('{"name": ' * 100_000, "Malformed JSON|too large"),
        ('{"name": ' + "9" * 5000 + "}", "too large"),
    ],
)
def test_a_refusal_names_what_is_wrong(text, message):
    with pytest.raises(ToolError, match=message):
        read_call(text, TOOLS)


@given(st.text() | st.text('{}[]":,ab0', max_size=40))
def test_any_text_is_a_call_or_a_refusal(text):
    with contextlib.suppress(ToolError):
        assert read_call(text, TOOLS).name in ("calculator", "clock")


# ---- the calculator

numbers = st.integers(0, 99).map(str)
expressions = st.recursive(
    numbers,
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(
        lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
    ),
    max_leaves=8,
)


@given(expressions)
def test_arithmetic_equals_exact_fractions(expression):
    try:
        exact = eval(as_fractions(expression), {"Fraction": Fraction})
    except ZeroDivisionError:
        with pytest.raises(ToolError, match="Division by zero"):
            calculate(expression)
        return
    assert calculate(expression) == pytest.approx(float(exact), rel=1e-9, abs=1e-6)


def as_fractions(expression):
    return re.sub(r"\d+", lambda match: f"Fraction({match.group()})", expression)


@pytest.mark.parametrize(
    ("expression", "value"),
    [("2 + 3 * 4", 14), ("(2 + 3) * 4", 20), ("-2 ** 2", -4), ("7 // 2", 3), ("7 % 4", 3),
     ("1e3", 1000), (" 12 ", 12), ("2 ** -1", 0.5), ("+3", 3)],
)  # fmt: skip
def test_arithmetic_keeps_its_rules(expression, value):
    assert calculate(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')", "open('x')", "x", "x + 1", "'a' * 9", "[1] * 9",
        "1 if 2 else 3", "lambda: 1", "1 < 2", "True", "None", "...", "1j", "1 and 2", "not 1",
        "~1", "1 @ 2", "1 << 99", "f'{1}'", "(1, 2)", "{1}", "1; 2", "a := 3", "1 (2)",
        "[x for x in (1,)]", "().__class__", "1 .real", "", " ", "\x00", "1 +", "2 x 3",
    ],
)  # fmt: skip
def test_nothing_but_arithmetic_is_computed(expression, capsys):
    with pytest.raises(ToolError):
        calculate(expression)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "expression",
    ["9 ** 9 ** 9", "2 ** 101", "10 ** 31", "1e400", "1e30 * 10", "0.5 ** -1000", "9" * 101,
     "1.1 ** 1e9", "(-8) ** 0.5", "0 ** -1", "1 % 0", "1 // 0", "(" * 60 + "1" + ")" * 60,
     "1e30 ** 100"],
)  # fmt: skip
def test_what_would_take_forever_or_overflow_is_refused(expression):
    with pytest.raises(ToolError):
        calculate(expression)


@given(st.text(max_size=120) | st.text("0123456789+-*/%(). e_xj", max_size=60))
def test_any_text_gives_a_bounded_number_or_a_refusal(text):
    try:
        value = calculate(text)
    except ToolError:
        return
    assert type(value) in (int, float)
    assert abs(value) <= 1e30


def test_the_calculator_answers_in_plain_text():
    assert CALCULATOR.run(expression="37 * 48") == "1776"
    assert CALCULATOR.run(expression="1 / 4") == "0.25"


def test_the_clock_tells_the_time_that_it_was_given():
    assert [CLOCK.run(part=part) for part in ("time", "date", "weekday")] == [
        "15:09", "2031-03-14", "Friday",
    ]  # fmt: skip


# ---- running and the loop


def scripted(*texts):
    """A model that says these texts, then repeats the last, and remembers what it was asked."""
    asked = []

    def ask(messages):
        asked.append([dict(message) for message in messages])
        return texts[min(len(asked), len(texts)) - 1]

    return ask, asked


def test_the_loop_hands_results_back_and_ends_with_the_answer():
    ask, asked = scripted(call("calculator", expression="37 * 48"), "It is 1776.")
    outcome = tool_loop(ask, "What is 37 times 48?", TOOLS)
    assert (outcome.answer, outcome.stopped) == ("It is 1776.", "answer")
    assert [step.result for step in outcome.steps] == ["1776"]
    assert asked[0] == [{"role": "user", "content": "What is 37 times 48?"}]
    assert [message["role"] for message in asked[1]] == ["user", "assistant", "user"]
    assert "1776" in asked[1][-1]["content"]


def test_a_refused_call_goes_back_with_the_reason_and_runs_nothing():
    ask, asked = scripted(call("calculator", expression="rm"), call("shell", x=1), "I give up.")
    outcome = tool_loop(ask, "go", TOOLS)
    assert [step.call for step in outcome.steps] == [Call("calculator", {"expression": "rm"}), None]
    assert all(step.result.startswith("refused: ") for step in outcome.steps)
    assert "Unknown tool 'shell'" in asked[2][-1]["content"]
    assert outcome.answer == "I give up."


@pytest.mark.parametrize("said", [call("clock", part="time"), "{", "{}", call("shell")])
def test_a_model_that_never_stops_calling_is_stopped(said):
    ask, asked = scripted(said)
    outcome = tool_loop(ask, "go", TOOLS, max_steps=3)
    assert (outcome.answer, outcome.stopped) == (None, "steps")
    assert len(outcome.steps) == len(asked) == 3


def test_the_loop_ends_when_its_time_is_over():
    now = iter(range(0, 1000, 10))
    ask, _ = scripted(call("clock", part="time"))
    outcome = tool_loop(ask, "go", TOOLS, max_steps=99, max_seconds=25, monotonic=lambda: next(now))
    assert (outcome.answer, outcome.stopped) == (None, "time")
    assert len(outcome.steps) == 2


def tool(run):
    return Tool("it", "does it", {"type": "object", "properties": {}}, run)


def test_a_tool_that_hangs_is_left_behind():
    release = threading.Event()
    with pytest.raises(ToolError, match=r"it did not answer within 0.05 seconds"):
        run_call(Call("it", {}), [tool(release.wait)], timeout_seconds=0.05)
    release.set()


def test_a_tool_that_fails_does_not_end_the_loop():
    ask, _ = scripted(call("it"), "done")
    outcome = tool_loop(ask, "go", [tool(lambda: 1 / 0)])
    assert outcome.steps[0].result == "refused: it failed: division by zero."
    assert outcome.answer == "done"


def test_a_tool_that_was_not_given_cannot_be_run():
    with pytest.raises(ToolError, match="Unknown tool 'clock': there are calculator"):
        run_call(Call("clock", {"part": "time"}), [CALCULATOR])


# ---- filling


@pytest.fixture(scope="module")
def tiny(tiny_causal_folder):
    from course_utils.model_store import load_model

    return load_model(str(tiny_causal_folder))


def test_even_a_random_model_can_fill_in_only_valid_calls(tiny):
    prompts = ["the cat sat on", "a dog ran to the house", "it rained"]
    texts = fill_calls(tiny, prompts, TOOLS, max_new_tokens=4)
    assert len(texts) == 3
    for text in texts:
        assert read_call(text, TOOLS).name in ("calculator", "clock")
    assert fill_calls(tiny, [], TOOLS) == []


def test_the_more_probable_name_and_value_are_chosen(monkeypatch):
    def score_options(model, prompts, options):
        wanted = ('clock"', 'weekday"')
        return [[Score([-1.0 if text in wanted else -2.0]) for text in row] for row in options]

    monkeypatch.setattr(multiple_choice, "score_options", score_options)
    assert fill_calls(None, ["day?"], TOOLS) == [call("clock", part="weekday")]


def test_what_is_generated_ends_at_the_quote_and_is_escaped():
    class Model:
        def complete(self, prompts, config):
            assert prompts == ['Q{"name": "note", "arguments": {"text": "']
            return [Completion('a\\b\nc"}} {"name": "shell"', [1], "length", 1)]

    note = Tool("note", "n", {"type": "object", "properties": {"text": {"type": "string"}}}, str)
    (text,) = fill_calls(Model(), ["Q"], [note])
    assert read_call(text, [note]) == Call("note", {"text": "a\\b\nc"})


def test_filling_refuses_arguments_that_it_cannot_fill():
    number = Tool("n", "n", {"type": "object", "properties": {"x": {"type": "number"}}}, str)
    with pytest.raises(ValueError, match=r"n\.x is neither a string nor an enumeration"):
        fill_calls(None, ["a"], [number])
