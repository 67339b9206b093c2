"""Ask each prompt twice, unaided and held to a JSON schema by the server: what that brings, and what it costs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
