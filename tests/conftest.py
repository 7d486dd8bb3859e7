"""Settings of the whole suite."""

from hypothesis import settings

# a busy machine is no defect: examples may take as long as they need
settings.register_profile("graphcl", deadline=None)
settings.load_profile("graphcl")
