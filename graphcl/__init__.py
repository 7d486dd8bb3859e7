"""graphcl: graph contrastive learning on PyTorch Geometric, exact, fast and honest.

    >>> import graphcl
    >>> data, split = graphcl.load("karate", split="few-4")
    >>> h = graphcl.embed("dgi", data, plan={"epochs": 3})
    >>> sorted(graphcl.evaluate.probe(h, data, split))
    ['acc/test', 'acc/val', 'auc/test', 'auc/val', 'f1/test', 'f1/val']

Names are loaded when they are first used, so importing graphcl costs little more than importing PyG.
"""

import lazy_loader
import torch_geometric  # every part needs it; loading it here keeps the first use of a part quick

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

del torch_geometric
