# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Stand-ins for what an installed OpenMMLab package lacks."""
