"""Tell an MLflow server of a record: the registry has it first, and MLflow is never the only copy."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
