# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Search of settings by Optuna, with trials that are trainings of their own."""
