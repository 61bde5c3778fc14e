"""Each decoding strategy written out in a few lines, equal to that of transformers.

`filters` reshape a distribution, `penalties` lower what was said already, `sampling` chooses,
`generation`, `beams` and `speculative` make whole completions, `validation` says what a
configuration will really do. Names load on first use, so that `validate` costs no import of torch.
"""

from course_utils.lazy_names import lazy_names

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
__getattr__, __all__ = lazy_names(__name__, _HOME)
