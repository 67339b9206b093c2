from .contract import Decision as Decision
from .contract import Doubt as Doubt
from .contract import Gate as Gate
from .contract import Option as Option
from .deciding import decide as decide
from .needs import Needs as Needs
from .prices import PriceList as PriceList
from .prices import load_prices as load_prices
