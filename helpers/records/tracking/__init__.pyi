from .settings import Settings as Settings
from .telling import track as track
