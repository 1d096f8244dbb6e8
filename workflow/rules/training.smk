# Training: vision encoder (organisms) or assembled backbones -> base arm -> arms that start from it; or published weights
# -> arms that adapt them. A stage that several arms share is a job of its own.
#
# REQUIRED INPUTS
#   for assembled and published models: receipts of the downloads, and the prompts to learn from, which are never asked
#   for arms with a judge's score as their reward: the judge's weights, or their receipt
#
# OUTPUTS
#   results/{experiment}/models/{model}/model.safetensors   and its siblings: a plain save_pretrained folder, or what an
#                                                           arm learned, laid over the checkpoint that it started from
#   results/{experiment}/training/{model}.csv               the training curve; of backbones, how far they are from
#                                                           their source
#
# {model} is <id>.<arm>.s<seed>; the encoder that all arms share is <id>.vision.s<seed>, or <id>.backbones.

ADAPTED = {id for id, model in STUDY.models.items() if model.adapter}
ASSEMBLED = {model.weights_of or id: model.assembled for id, model in STUDY.models.items() if model.assembled}


rule train_vision:
    """Train the vision encoder that all arms of one organism and seed share."""
    output:
        weights=RUN.weights("{id}.vision.s{seed}"),
        curve=RUN.curve("{id}.vision.s{seed}"),
    log:
        RUN.log("train_vision/{id}.s{seed}"),
    wildcard_constraints:
        id=one_of(ORGANISMS),
    conda:
        "../../envs/models.yaml"
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        spec=lambda wildcards: SPECS.train_vision(wildcards.id, int(wildcards.seed)),
    shell:
        'python "$LAYERWISE_SCRIPTS"/train_vision.py --spec {params.spec:q}'
        " --costs {log:q}.json"
        " --output {output.weights:q} --curve {output.curve:q} 2>&1 | tee {log:q}"


rule assemble:
    """Assemble a published vision encoder and a published language model, and compare the encoder with its source."""
    input:
        vision=receipt("{id}.vision"),
        language=receipt("{id}.language"),
    output:
        weights=RUN.weights("{id}.backbones"),
        parity=RUN.curve("{id}.backbones"),
    log:
        RUN.log("assemble/{id}"),
    wildcard_constraints:
        id=one_of(ASSEMBLED),
    conda:
        "../../envs/models.yaml"
    resources:
        mem_mb=8000,
        runtime=30,
    params:
        spec=lambda wildcards: SPECS.assemble(wildcards.id),
    shell:
        'python "$LAYERWISE_SCRIPTS"/assemble.py --spec {params.spec:q}'
        " --costs {log:q}.json"
        " --vision {input.vision:q} --language {input.language:q}"
        " --output {output.weights:q} --parity {output.parity:q} 2>&1 | tee {log:q}"


rule own_answers:
    """Let a language model answer the prompts of a data set by itself, without an image, for a projector to keep."""
    input:
        weights=RUN.weights("{id}.backbones"),
        prompts=RUN.prompts("{dataset}"),
    output:
        update(RUN.own_answers("{id}", "{dataset}")),
    log:
        RUN.log("own_answers/{id}.{dataset}"),
    wildcard_constraints:
        id=one_of(ASSEMBLED),
    conda:
        "../../envs/models.yaml"
    resources:
        mem_mb=lambda wildcards: memory_mb(STUDY.models[wildcards.id]),
        runtime=60,
    params:
        spec=lambda wildcards: SPECS.own_answers(wildcards.id),
    shell:
        'python "$LAYERWISE_SCRIPTS"/own_answers.py --spec {params.spec:q} --costs {log:q}.json'
        " --weights {input.weights:q} --prompts {input.prompts:q} --output {output:q} 2>&1 | tee {log:q}"


rule train_arm:
    """Train one arm, with the method and from the arm that the model's file declares."""
    input:
        start=start,
        prompts=taught,
        answers=own_answers,
        reward=reward,
    output:
        weights=RUN.weights("{id}.{arm}.s{seed}"),
        curve=RUN.curve("{id}.{arm}.s{seed}"),
    log:
        RUN.log("train_arm/{id}.{arm}.s{seed}"),
    wildcard_constraints:
        id=one_of(ORGANISMS | set(ASSEMBLED) | ADAPTED),
        arm=one_of({arm for model in STUDY.models.values() for arm in model.arms}),
    conda:
        "../../envs/models.yaml"
    resources:
        mem_mb=lambda wildcards: 2000 if wildcards.id in ORGANISMS else 2000 + memory_mb(STUDY.models[wildcards.id]),
        runtime=lambda wildcards: 30 if wildcards.id in ORGANISMS else 1440 if wildcards.id in ADAPTED else 120,
        gpu=lambda wildcards: gpus(STUDY.models[wildcards.id]) if wildcards.id in ADAPTED else 0,
    params:
        spec=lambda wildcards: SPECS.train_arm(wildcards.id, wildcards.arm, wildcards.seed),
    shell:
        'python "$LAYERWISE_SCRIPTS"/train_arm.py --spec {params.spec:q}'
        " --costs {log:q}.json --gpus {resources.gpu}"
        " --start {input.start:q} --prompts {input.prompts:q} --answers {input.answers:q} --reward {input.reward:q}"
        " --output {output.weights:q} --curve {output.curve:q} 2>&1 | tee {log:q}"


rule train_judge:
    """Train the checkpoint of a judge on the language of the synthetic world."""
    output:
        RUN.checkpoint("{judge}"),
    log:
        RUN.log("train_judge/{judge}"),
    conda:
        "../../envs/models.yaml"
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        spec=lambda wildcards: SPECS.train_judge(wildcards.judge),
    shell:
        'python "$LAYERWISE_SCRIPTS"/train_judge.py --spec {params.spec:q}'
        " --costs {log:q}.json"
        " --output {output:q} 2>&1 | tee {log:q}"
