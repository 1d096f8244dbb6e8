# Prompts: raw data -> one JSONL file per data set, and its images.
#
# OUTPUTS
#   results/{experiment}/prompts/{dataset}.jsonl      with the sha256 of each image
#   results/{experiment}/prompts/images/{dataset}/    the images, as shown to the models

DATASETS = STUDY.datasets | STUDY.training_data
PROMPTS = [RUN.prompts(dataset) for dataset in STUDY.datasets]


rule build_prompts:
    """Build the prompts of one data set, with their images."""
    input:
        lambda wildcards: [receipt(f"{wildcards.dataset}.{name}") for name in DATASETS[wildcards.dataset].sources],
    output:
        RUN.prompts("{dataset}"),
    log:
        RUN.log("build_prompts/{dataset}"),
    conda:
        "../../envs/downloads.yaml"
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        spec=lambda wildcards: SPECS.build_prompts(wildcards.dataset),
    shell:
        'python "$LAYERWISE_SCRIPTS"/build_prompts.py --spec {params.spec:q}'
        " --costs {log:q}.json"
        " --sources {input:q} --output {output:q} 2>&1 | tee {log:q}"
