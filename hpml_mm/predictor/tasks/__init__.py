# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Networks with scores on several tasks: tables, features, and predictors of them."""
