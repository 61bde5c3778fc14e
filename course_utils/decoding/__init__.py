"""Each decoding strategy written out in a few lines, equal to that of transformers.

`filters` reshape a distribution, `penalties` lower what was said already, `sampling` chooses,
`generation`, `beams` and `speculative` make whole completions, `validation` says what a
configuration will really do. Names load on first use, so that `validate` costs no import of torch.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "distribution": ("entropy", "kept_mass", "nucleus_size"),
    "filters": (
        "keep_min_p",
        "keep_top_k",
        "keep_top_p",
        "keep_typical",
        "scale_temperature",
    ),
    "penalties": (
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "token_counts",
    ),
    "sampling": ("greedy", "next_tokens", "reshape_logits", "sample"),
    "stopping": ("cut_at_stop_string", "ends_in_stop_string"),
    "generation": ("Generation", "generate"),
    "beams": ("Beam", "beam_search"),
    "speculative": ("SpeculativeGeneration", "speculative_generate", "verify_draft"),
    "validation": ("Problem", "validate"),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}
__all__ = sorted(_MODULE)


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)
