"""One object over causal and sequence-to-sequence models."""

from course_utils.language_model.completion import Completion, NextTokens, Score
from course_utils.language_model.model import LanguageModel
from course_utils.language_model.prompt_tokens import Chat, Prompt

__all__ = ["Chat", "Completion", "LanguageModel", "NextTokens", "Prompt", "Score"]
