"""The contracts every part keeps, as functions anybody can run on a part of their own.

Each ``check_*`` raises `ContractError` with one line that says which promise is broken, and returns the list of
promises it found kept. ``graphcl check package.module:Thing`` runs the right one.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
