"""Serve a model to many at once: an OpenAI-compatible chat endpoint, its measurement, its cost.

`course serve` runs the server (`app`, `engine`, `server`); `ServerProcess` runs that command from
a notebook, `load_test` measures it. Names load on first use: the client side needs no torch.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "cost": ("cost_per_thousand",),
    "limits": ("Limits",),
    "load": ("LoadReport", "load_test"),
    "process": ("ServerProcess",),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}
__all__ = sorted(_MODULE)


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)
