"""Compare measured versions: where they differ, how sure that is, and what it costs in latency."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
