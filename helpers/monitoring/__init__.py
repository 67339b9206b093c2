"""Watch what is served: rules from a record, Prometheus asked about them, canary questions, what triggers a run."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
