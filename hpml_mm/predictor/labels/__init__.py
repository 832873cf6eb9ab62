# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Labels of one's own: architectures of a space, trained as bodies of a config."""
