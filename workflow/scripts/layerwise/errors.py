"""The one error for a mistake that the user can mend."""


class InputError(ValueError):
    """A mistake that the user can mend. Its text names the file, the key and a way out; scripts print nothing else."""
