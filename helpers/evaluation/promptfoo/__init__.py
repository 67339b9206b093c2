"""Run a suite of promptfoo's on a served model: read it, run promptfoo behind a wall, read what it left."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
