from graphcl.evaluate.probe import *  # temporary
