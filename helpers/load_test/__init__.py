"""Load tests with GuideLLM: check the request shape, warm up, measure, find the operating point."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
