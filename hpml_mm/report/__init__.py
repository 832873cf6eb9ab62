# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""One page about runs, result rows and studies."""
