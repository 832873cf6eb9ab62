# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Home of the performance predictor; imports without mmpose."""
