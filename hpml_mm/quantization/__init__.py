# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""INT8 quantization: calibration, conversion, search, QAT, evaluation and reports."""
