"""Commands for people, one file each: `python workflow/scripts <command> --help`. The Makefile's targets call them."""
