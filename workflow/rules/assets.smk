# Downloads: published weights and data sets.
#
# OUTPUTS
#   results/assets/{asset}.json   a receipt: files, sizes, sha256, revision; the files stay in the cache
#
# An asset is shared by all experiments, so its receipt lies outside the experiment's folder.

SOURCES = {id: model.source for id, model in STUDY.models.items() if model.source}
SOURCES |= {id: judge.source for id, judge in STUDY.judges.items() if judge.source}
SOURCES |= {f"{id}.base": judge.base for id, judge in STUDY.judges.items() if judge.base}
SOURCES |= {
    f"{id}.{name}": source for id, dataset in STUDY.datasets.items() for name, source in dataset.sources.items()
}


rule fetch:
    """Download one asset, check it, and leave a receipt."""
    output:
        "results/assets/{asset}.json",
    log:
        "logs/assets/{asset}.log",
    retries: 2
    conda:
        "../../envs/download.yaml"
    resources:
        mem_mb=1000,
        runtime=240,
        downloads=1,
    params:
        spec=lambda wildcards: spec.fetch(wildcards.asset, SOURCES[wildcards.asset]),
    shell:
        "python workflow/scripts/fetch.py --spec {params.spec:q} --output {output:q} 2>&1 | tee {log:q}"
