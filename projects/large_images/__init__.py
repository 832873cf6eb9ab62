# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Input of photographs that do not fit in memory."""
