# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Input pipelines of two published FER projects, to compare with."""
