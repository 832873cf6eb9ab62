# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Compare the speed of two configs by runs that alternate; tools/ has the commands."""
