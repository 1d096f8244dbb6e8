"""The one error of a user's mistake."""


class InputError(ValueError):
    """A mistake that the user can mend. Its text names the file, the key and the way out; scripts print it alone."""
