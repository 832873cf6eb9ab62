# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""INT8: calibration, backends, sensitivity, and reports on what it costs and gains."""
