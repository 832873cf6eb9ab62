# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Speed comparisons of two configs in alternating rounds, and the speed tuner."""
