# Downloads: published weights and data sets.
#
# OUTPUTS
#   results/assets/{asset}.json   a receipt: files, sizes, sha256, revision; the files stay in the cache
#
# An asset is shared by all experiments, so its receipt lies outside the experiment's folder.


rule fetch:
    """Download one asset, check it, and leave a receipt."""
    output:
        receipt("{asset}"),
    log:
        receipt_log("{asset}"),
    conda:
        "../../envs/downloads.yaml"
    resources:
        mem_mb=1000,
        runtime=240,
        downloads=1,
    params:
        spec=lambda wildcards: spec.fetch(wildcards.asset, STUDY.sources[wildcards.asset]),
        mirrors=lambda wildcards: spec.mirrors(STUDY.sources[wildcards.asset]),
    shell:
        'python "$LAYERWISE_SCRIPTS"/fetch.py --spec {params.spec:q} --mirrors {params.mirrors:q} --output {output:q} '
        "2>&1 | tee {log:q}"
