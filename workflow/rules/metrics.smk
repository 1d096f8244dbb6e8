# Metrics: verdicts -> outcomes -> metrics; also how good the judges are, and what became of the predictions.
#
# OUTPUTS
#   results/{experiment}/metrics.csv, paired.csv          every metric; every comparison with the default layer
#   results/{experiment}/margins.csv                      how well refusal margins tell what is refused
#   results/{experiment}/validity.csv, agreement.csv      the judges compared with the truth; with each other
#   results/{experiment}/controls.csv                     the judges on controls
#   results/{experiment}/gates.csv, predictions.csv       models trained here: ability, outcomes of predictions

VERDICTS = [RUN.verdicts(judge, subject) for judge in STUDY.judges for subject in SUBJECTS]


rule metrics:
    """Compute every metric, by exit layer and by group of layers, and compare each layer with the default one."""
    input:
        prompts=PROMPTS,
        verdicts=VERDICTS,
        responses=[path for subject in STUDY.with_margin for path in responses(subject.name)],
    output:
        metrics=RUN.frame("metrics"),
        paired=RUN.frame("paired"),
        margins=RUN.frame("margins"),
    log:
        RUN.log("metrics"),
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        spec=SPECS.aggregate("metrics"),
    shell:
        'python "$LAYERWISE_SCRIPTS"/metrics.py --spec {params.spec:q} --costs {log:q}.json'
        " --prompts {input.prompts:q} --verdicts {input.verdicts:q} --responses {input.responses:q}"
        " --output {output.metrics:q} --paired {output.paired:q} --margins {output.margins:q} 2>&1 | tee {log:q}"


rule validity:
    """Compare the judges with the truth where it is known, with each other, and on controls."""
    input:
        prompts=PROMPTS,
        verdicts=VERDICTS,
        controls=CONTROLS,
    output:
        validity=RUN.frame("validity"),
        controls=RUN.frame("controls"),
        agreement=RUN.frame("agreement"),
    log:
        RUN.log("validity"),
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        spec=SPECS.aggregate("validity"),
    shell:
        'python "$LAYERWISE_SCRIPTS"/validity.py --spec {params.spec:q} --costs {log:q}.json'
        " --prompts {input.prompts:q} --verdicts {input.verdicts:q} --controls {input.controls:q}"
        " --output {output.validity:q} --controls-table {output.controls:q} --agreement {output.agreement:q}"
        " 2>&1 | tee {log:q}"


rule assess:
    """Decide whether each model trained here is able, and whether each registered prediction holds."""
    input:
        metrics=RUN.frame("metrics"),
        probes=PROBES,
    output:
        gates=RUN.frame("gates"),
        predictions=RUN.frame("predictions"),
    log:
        RUN.log("assess"),
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=SPECS.assess(),
    shell:
        'python "$LAYERWISE_SCRIPTS"/assess.py --spec {params.spec:q} --costs {log:q}.json'
        " --metrics {input.metrics:q} --probes {input.probes:q}"
        " --gates {output.gates:q} --predictions {output.predictions:q} 2>&1 | tee {log:q}"
