from .settings import Settings as Settings
from .stage import examples_table as examples_table
from .stage import tune as tune
