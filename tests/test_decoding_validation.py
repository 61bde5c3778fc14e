"""What `validate` reports, and that the library really does what its messages say."""

import math
import subprocess
import sys

import pytest
import torch
from benchmarks.decoding_equivalence import tiny_model
from transformers import GenerationConfig

from course_utils.decoding.validation import validate

PROMPT = torch.tensor([[5, 6, 7]])


def problems(**settings):
    return {
        (problem.setting, problem.severity): problem.message
        for problem in validate(GenerationConfig(**{"max_new_tokens": 4} | settings))
    }


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"do_sample": True, "top_k": 0},
        {"do_sample": True, "top_k": 50, "top_p": 0.9, "temperature": 0.7},
        {"num_beams": 4, "length_penalty": 2.0, "early_stopping": True},
        {"temperature": 1.0, "top_p": 1.0, "repetition_penalty": 1.3},
        {"stop_strings": ["\n\n"], "eos_token_id": [1, 2]},
    ],
)
def test_a_configuration_that_does_what_it_says_has_no_problems(settings):
    assert problems(**settings) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top_p", 3),
        ("top_p", -0.1),
        ("top_p", math.nan),
        ("temperature", 0.0),
        ("temperature", -1.0),
        ("temperature", "0.5"),
        ("temperature", 2),
        ("top_k", 2.5),
        ("top_k", -1),
        ("min_p", 1.5),
        ("typical_p", 1.5),
        ("repetition_penalty", 0.0),
        ("num_beams", 0),
        ("max_new_tokens", 2.5),
        ("stop_strings", ""),
        ("do_sample", "yes"),
        ("min_new_tokens", 5),
        ("frequency_penalty", 0.5),
        ("temprature", 0.5),
        ("penalty_alpha", 0.6),
    ],
)
def test_what_cannot_be_done_is_an_error_that_names_the_setting(name, value):
    found = problems(**{"do_sample": True, "top_k": 0} | {name: value})
    assert name in found[name, "error"]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"temperature": 0.5}, "temperature"),
        ({"temperature": 0.0}, "temperature"),
        ({"top_p": 0.9}, "top_p"),
        ({"do_sample": True}, "top_k"),
        ({"do_sample": True, "top_k": 1}, "top_k"),
        ({"do_sample": True, "top_k": 0, "top_p": 0.9, "min_p": 0.1}, "min_p"),
        ({"do_sample": True, "top_k": 0, "num_beams": 4}, "num_beams"),
        ({"length_penalty": 2.0}, "length_penalty"),
        ({"early_stopping": True}, "early_stopping"),
        ({"repetition_penalty": 0.5}, "repetition_penalty"),
        ({"max_new_tokens": None}, "max_new_tokens"),
        ({"max_new_tokens": None, "max_length": 30}, "max_length"),
        ({"max_length": 30}, "max_length"),
    ],
)
def test_what_runs_and_means_something_else_is_a_warning(settings, name):
    assert set(problems(**settings)) == {(name, "warning")}


def test_errors_come_before_warnings():
    found = validate(GenerationConfig(do_sample=True, top_p=3))
    assert [problem.severity for problem in found] == ["error", "warning", "warning"]


def test_a_message_gives_the_remedy_and_what_the_library_does():
    message = problems(do_sample=True, top_k=0, top_p=3)["top_p", "error"]
    assert "give a probability in (0, 1]" in message
    assert "ignores it silently" in message


@pytest.mark.parametrize(
    "settings",
    [
        {"top_p": 3},
        {"top_p": math.nan},
        {"typical_p": 1.5},
        {"epsilon_cutoff": 1.5},
        {"eta_cutoff": -1.0},
        {"frequency_penalty": 5.0},
        {"temprature": 0.1},
        {"no_repeat_ngram_size": -1},
    ],
)
def test_the_library_silently_ignores_what_we_say_it_ignores(settings, recwarn):
    (message,) = problems(do_sample=True, top_k=0, **settings).values()
    assert "transformers ignores it silently" in message or "never reads it" in message
    with_it, without = (
        GenerationConfig(do_sample=True, top_k=0, max_new_tokens=6, **more)
        for more in (settings, {})
    )
    answers = []
    for config in (with_it, without):
        torch.manual_seed(0)
        answers.append(tiny_model(1).generate(PROMPT, generation_config=config).tolist())
    assert answers[0] == answers[1]
    assert not recwarn.list


@pytest.mark.parametrize(
    "settings", [{"top_p": -0.1}, {"temperature": 0.0}, {"temperature": 2}, {"top_k": 2.5}]
)
def test_the_library_refuses_the_out_of_range_values_that_it_does_not_swallow(settings):
    (message,) = problems(**{"do_sample": True, "top_k": 0} | settings).values()
    assert "silently" not in message
    config = GenerationConfig(**{"do_sample": True, "top_k": 0, "max_new_tokens": 2} | settings)
    with pytest.raises(ValueError, match=next(iter(settings))):
        tiny_model(1).generate(PROMPT, generation_config=config)


def test_validation_loads_no_heavy_library():
    code = "import course_utils.decoding.validation, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
