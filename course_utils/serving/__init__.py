"""Serve a model to many at once: an OpenAI-compatible chat endpoint, its measurement, its cost.

`course serve` runs the server (`app`, `engine`, `server`); `ServerProcess` runs that command from
a notebook, `load_test` measures it. Names load on first use: the client side needs no torch.
"""

from course_utils.lazy_names import lazy_names

_HOME = {
    "cost": ("cost_per_thousand",),
    "limits": ("Limits",),
    "load": ("LoadReport", "load_test"),
    "process": ("ServerProcess",),
}
__getattr__, __all__ = lazy_names(__name__, _HOME)
