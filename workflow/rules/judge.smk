# Verdicts: what each judge says about each response, and about controls with a known right answer.
#
# OUTPUTS
#   results/{experiment}/controls/deciding.jsonl            the same controls, tried on the judges that decide outcomes
#                                                           before anything is generated; a wrong one ends the run
#   results/{experiment}/verdicts/{judge}/{subject}.jsonl   all exit layers of a subject, updated in place
#   results/{experiment}/controls/{judge}.jsonl             verdicts on empty, echoed, shuffled and refusing responses
#   results/{experiment}/human_labels.csv                   judges compared with labels given by people


for one in STUDY.mismatches:
    logger.warning(f"warning: {one.said(f'judge {one.judge}', f'data set {one.dataset}')}")

DECIDING = {id: STUDY.judges[id] for id in STUDY.deciding}


rule try_judges:
    """Try the judges that decide the outcome on their controls, and end the run if one is wrong."""
    input:
        weights=[path for judge in DECIDING for path in judge_weights(judge)],
        # Of one data set, so that another one generates nothing anew.
        prompts=RUN.prompts(next((id for id, kinds in STUDY.kinds.items() if "harmful" in kinds), [*STUDY.kinds][0])),
    output:
        RUN.deciding,
    log:
        RUN.log("try_judges"),
    conda:
        "../../envs/models.yaml"
    resources:
        mem_mb=max(map(memory_mb, DECIDING.values())),
        runtime=60,
        gpu=max(map(gpus, DECIDING.values())),
    params:
        spec=SPECS.try_judges(),
    shell:
        'python "$LAYERWISE_SCRIPTS"/try_judges.py --spec {params.spec:q}'
        " --costs {log:q}.json --gpus {resources.gpu}"
        " --weights {input.weights:q} --prompts {input.prompts:q} --output {output:q} 2>&1 | tee {log:q}"


JUDGED = chunks(list(SUBJECTS), STUDY.experiment.models_per_judge_job)
CONTROLS = []

for number, group in enumerate(JUDGED):
    suffix = "" if len(JUDGED) == 1 else f".{number}"
    CONTROLS += [RUN.controls(judge, suffix) for judge in STUDY.judges]

    rule:
        """Let one judge judge the responses of a group of subjects."""
        name:
            "judge" if len(JUDGED) == 1 else f"judge_{number}"
        input:
            weights=lambda wildcards: judge_weights(wildcards.judge),
            prompts=PROMPTS,
            responses=[path for subject in group for path in responses(subject)],
        output:
            verdicts=[update(RUN.verdicts("{judge}", subject)) for subject in group],
            controls=RUN.controls("{judge}", suffix),
        log:
            RUN.log(f"judge/{{judge}}{suffix}"),
        conda:
            "../../envs/models.yaml"
        resources:
            mem_mb=lambda wildcards: memory_mb(STUDY.judges[wildcards.judge]),
            runtime=240,
            gpu=lambda wildcards: gpus(STUDY.judges[wildcards.judge]),
        params:
            spec=lambda wildcards: SPECS.judge(wildcards.judge),
        shell:
            'python "$LAYERWISE_SCRIPTS"/judge.py --spec {params.spec:q}'
            " --costs {log:q}.json --gpus {resources.gpu}"
            " --weights {input.weights:q} --prompts {input.prompts:q} --responses {input.responses:q}"
            " --output {output.verdicts:q} --controls {output.controls:q} 2>&1 | tee {log:q}"


if STUDY.human_labels:

    rule human_labels:
        """Compare judges with labels given by people, for each model that was labelled."""
        input:
            sources=[receipt(f"{id}.{name}") for id, data in STUDY.human_labels.items() for name in data.sources],
            weights=[path for judge in STUDY.labelling for path in judge_weights(judge)],
        output:
            RUN.frame("human_labels"),
        log:
            RUN.log("human_labels"),
        conda:
            "../../envs/models.yaml"
        resources:
            mem_mb=2000 + max((memory_mb(judge) for judge in STUDY.labelling.values()), default=0),
            runtime=240,
            gpu=max((gpus(judge) for judge in STUDY.labelling.values()), default=0),
        params:
            spec=lambda wildcards: SPECS.human_labels(),
        shell:
            'python "$LAYERWISE_SCRIPTS"/human_labels.py --spec {params.spec:q} --costs {log:q}.json'
            " --gpus {resources.gpu} --sources {input.sources:q} --weights {input.weights:q} --output {output:q} 2>&1 | tee {log:q}"
