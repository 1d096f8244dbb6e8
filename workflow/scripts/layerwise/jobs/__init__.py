"""What every job needs: its spec and fingerprint, options, progress, rows that survive a kill, GPUs, threads."""
