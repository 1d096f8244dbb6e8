"""What people run, one file a command: `python workflow/scripts <command> --help`. The Makefile's targets call them."""
