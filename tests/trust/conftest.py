"""What the attacks need: a scripted model, a task of our own format, and an endpoint that leads to the model."""

from __future__ import annotations

from tests.evaluation.conftest import endpoint, little_patience, questions, server, settings, tokenizer

__all__ = ["endpoint", "little_patience", "questions", "server", "settings", "tokenizer"]
