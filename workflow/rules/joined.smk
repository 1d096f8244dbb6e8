# Models joined from published parts: parts -> projector (base arms) -> refusals (aligned arms).
#
# REQUIRED INPUTS
#   receipts of the parts' downloads
#   the prompts to learn, which no model is asked
#
# OUTPUTS
#   results/{experiment}/models/{model}/model.safetensors   {model} is <id>.parts, or <id>.<arm>.s<seed>: what it learned
#                                                           alone, laid over the checkpoint that it started from
#   results/{experiment}/training/{model}.csv               the training curve; of the parts, how far they are from
#                                                           their source

JOINED = {model.weights_of or id: model.joined for id, model in STUDY.models.items() if model.joined}


rule join_parts:
    """Join a published vision encoder and a published language model, and compare the encoder with its source."""
    input:
        vision=receipt("{id}.vision"),
        language=receipt("{id}.language"),
    output:
        weights=weights("{id}.parts"),
        parity=f"{RESULTS}/training/{{id}}.parts.csv",
    log:
        f"{LOGS}/join_parts/{{id}}.log",
    wildcard_constraints:
        id=one_of(JOINED),
    conda:
        "../../envs/joining.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        spec=lambda wildcards: SPECS.join_parts(wildcards.id),
    shell:
        "python workflow/scripts/join_parts.py --spec {params.spec:q}"
        " --costs {log:q}.json"
        " --vision {input.vision:q} --language {input.language:q}"
        " --output {output.weights:q} --parity {output.parity:q} 2>&1 | tee {log:q}"


rule train_joined:
    """Train the projector of a joined model, or teach it to refuse."""
    input:
        below=below,
        prompts=lessons,
    output:
        weights=weights("{id}.{arm}.s{seed}"),
        curve=f"{RESULTS}/training/{{id}}.{{arm}}.s{{seed}}.csv",
    log:
        f"{LOGS}/train_joined/{{id}}.{{arm}}.s{{seed}}.log",
    wildcard_constraints:
        id=one_of(JOINED),
        arm="|".join(arms.ARMS),
    conda:
        "../../envs/training.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        spec=lambda wildcards: SPECS.train_joined(wildcards.id, wildcards.arm, int(wildcards.seed)),
    shell:
        "python workflow/scripts/train_joined.py --spec {params.spec:q}"
        " --costs {log:q}.json"
        " --below {input.below:q} --prompts {input.prompts:q}"
        " --output {output.weights:q} --curve {output.curve:q} 2>&1 | tee {log:q}"
