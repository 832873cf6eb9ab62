# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Light FER's own recipe, as a baseline to time."""
