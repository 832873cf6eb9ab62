# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""One module for each engine that runs INT8 models."""
