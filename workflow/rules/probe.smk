# Probes: what is readable from the features of each exit layer, and how far they drift from the default layer's.
#
# OUTPUTS
#   results/{experiment}/probes/{subject}.csv

PROBES = [RUN.probes(subject.name) for subject in STUDY.probed]
