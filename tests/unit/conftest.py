"""Hypothesis without a deadline: tests share the machine with others, and no test here asserts a time."""

from hypothesis import settings

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")
