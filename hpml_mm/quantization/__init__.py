# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Home of INT8 quantization: hooks, backends and reports will live here."""
