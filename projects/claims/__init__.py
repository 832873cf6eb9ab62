# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Claims of the source projects, judged by result rows."""
