# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Ends of a training before its time: by a signal, or with a process that is lost."""
