# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Networks of MMPretrain, MMPose and MMDetection, with their published scores."""
