# Probes: what is readable from the features of each exit layer, and how far they drift from the default layer's.
#
# OUTPUTS
#   results/{experiment}/probes/{subject}.csv

PROBES = [RUN.probes(subject.name) for subject in STUDY.probed]


rule probe:
    """Fit linear probes to the features of every exit layer of one subject."""
    input:
        weights=lambda wildcards: weights_or_receipt(wildcards.subject),
        prompts=lambda wildcards: [] if SUBJECTS[wildcards.subject].model.organism else PROMPTS,
    output:
        RUN.probes("{subject}"),
    log:
        RUN.log("probe/{subject}"),
    conda:
        "../../envs/models.yaml"
    resources:
        mem_mb=lambda wildcards: memory_mb(SUBJECTS[wildcards.subject].model),
        runtime=60,
        gpu=lambda wildcards: gpus(SUBJECTS[wildcards.subject].model),
    params:
        spec=lambda wildcards: SPECS.probe(SUBJECTS[wildcards.subject]),
    shell:
        'python "$LAYERWISE_SCRIPTS"/probe.py --spec {params.spec:q} --costs {log:q}.json --gpus {resources.gpu}'
        " --weights {input.weights:q} --prompts {input.prompts:q} --output {output:q} 2>&1 | tee {log:q}"
