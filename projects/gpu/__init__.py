# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What a GPU would prove, in one command."""
