"""Score a served model on an lm-eval task: check the task, run lm-eval in a child process, read what it left.

The log-probabilities come from the server, the prompts and the scoring from lm-eval itself.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
