# Training of the model organisms: vision encoder -> base -> aligned arm. Shared stages are jobs of their own.
#
# OUTPUTS
#   results/{experiment}/models/{model}/model.safetensors   and its siblings: a plain save_pretrained folder
#   results/{experiment}/training/{model}.csv               the training curve
#
# {model} is <id>.<arm>.s<seed>; the vision encoder that all arms share is <id>.vision.s<seed>.


rule train_vision:
    """Train the vision encoder that all arms of one organism and seed share."""
    output:
        weights=weights("{id}.vision.s{seed}"),
        curve=f"{RESULTS}/training/{{id}}.vision.s{{seed}}.csv",
    log:
        f"{LOGS}/train_vision/{{id}}.s{{seed}}.log",
    wildcard_constraints:
        id=one_of(ORGANISMS),
    conda:
        "../../envs/training.yaml"
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        spec=lambda wildcards: SPECS.train_vision(wildcards.id, int(wildcards.seed)),
    shell:
        "python workflow/scripts/train_vision.py --spec {params.spec:q}"
        " --costs {log:q}.json"
        " --output {output.weights:q} --curve {output.curve:q} 2>&1 | tee {log:q}"


rule train_base:
    """Teach captions, questions and instructions, at the default exit layer (base) or at random ones (robust)."""
    input:
        vision=weights("{id}.vision.s{seed}"),
    output:
        weights=weights("{id}.{arm}.s{seed}"),
        curve=f"{RESULTS}/training/{{id}}.{{arm}}.s{{seed}}.csv",
    log:
        f"{LOGS}/train_base/{{id}}.{{arm}}.s{{seed}}.log",
    wildcard_constraints:
        id=one_of(ORGANISMS),
        arm="|".join(arms.BASES),
    conda:
        "../../envs/training.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        spec=lambda wildcards: SPECS.train_base(wildcards.id, wildcards.arm, int(wildcards.seed)),
    shell:
        "python workflow/scripts/train_base.py --spec {params.spec:q}"
        " --costs {log:q}.json"
        " --vision {input.vision:q} --output {output.weights:q} --curve {output.curve:q} 2>&1 | tee {log:q}"


rule align:
    """Safety-tune a base arm, with image features from the default exit layer or from random ones (layerwise)."""
    input:
        base=lambda wildcards: weights(f"{wildcards.id}.{specs.parent(wildcards.arm)}.s{wildcards.seed}"),
    output:
        weights=weights("{id}.{arm}.s{seed}"),
        curve=f"{RESULTS}/training/{{id}}.{{arm}}.s{{seed}}.csv",
    log:
        f"{LOGS}/align/{{id}}.{{arm}}.s{{seed}}.log",
    wildcard_constraints:
        id=one_of(ORGANISMS),
        arm="|".join(arms.ALIGNED),
    conda:
        "../../envs/training.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        spec=lambda wildcards: SPECS.align(wildcards.id, wildcards.arm, int(wildcards.seed)),
    shell:
        "python workflow/scripts/align.py --spec {params.spec:q}"
        " --costs {log:q}.json"
        " --base {input.base:q} --output {output.weights:q} --curve {output.curve:q} 2>&1 | tee {log:q}"


rule train_judge:
    """Train the checkpoint of a judge on the language of the synthetic world."""
    output:
        f"{RESULTS}/judges/{{judge}}/SHA256SUMS",
    log:
        f"{LOGS}/train_judge/{{judge}}.log",
    conda:
        "../../envs/judging.yaml"
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        spec=lambda wildcards: SPECS.train_judge(wildcards.judge),
    shell:
        "python workflow/scripts/train_judge.py --spec {params.spec:q}"
        " --costs {log:q}.json"
        " --output {output:q} 2>&1 | tee {log:q}"
