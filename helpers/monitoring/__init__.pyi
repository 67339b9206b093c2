from .rules import EARNEST as EARNEST
from .rules import HERE as HERE
from .rules import Alert as Alert
from .rules import Signal as Signal
from .rules import Watched as Watched
