# Responses: every prompt, to every subject, at every exit layer.
#
# REQUIRED INPUTS
#   the model's weights (trained here), or the receipt of their download
#   the prompts of the data sets that the model is asked
#   the controls of the judges that decide the outcome: a wrong one ends the run before it generates
#
# OUTPUTS
#   results/{experiment}/responses/{subject}/layer-LL.jsonl   one file per cell, updated in place: rows whose key still
#                                                             holds are kept


# Outputs cannot be functions of wildcards, so subjects with the same exit layers share one rule for each group of
# layers that a process serves. An organism experiment has one such rule.
CELLS = {}
for name, subject in SUBJECTS.items():
    for group in chunks(subject.layers, STUDY.experiment.layers_per_job):
        CELLS.setdefault(group, []).append(name)

for number, (group, names) in enumerate(CELLS.items()):

    rule:
        """Generate the responses of one subject at a group of exit layers."""
        name:
            "generate" if len(CELLS) == 1 else f"generate_{number}"
        input:
            weights=lambda wildcards: weights_or_receipt(wildcards.subject),
            prompts=lambda wildcards: [RUN.prompts(dataset) for dataset in SUBJECTS[wildcards.subject].asked],
            controls=RUN.deciding,
        output:
            [update(path) for path in RUN.responses("{subject}", group)],
        log:
            RUN.log(f"generate/{{subject}}.layers-{group[0]:02d}-{group[-1]:02d}"),
        wildcard_constraints:
            subject="|".join(map(re.escape, names)),
        conda:
            "../../envs/models.yaml"
        resources:
            mem_mb=lambda wildcards: memory_mb(SUBJECTS[wildcards.subject].model),
            runtime=720,
            gpu=lambda wildcards: gpus(SUBJECTS[wildcards.subject].model),
        params:
            spec=lambda wildcards: SPECS.generate(SUBJECTS[wildcards.subject]),
        shell:
            'python "$LAYERWISE_SCRIPTS"/generate.py --spec {params.spec:q}'
            " --costs {log:q}.json --gpus {resources.gpu}"
            " --weights {input.weights:q} --prompts {input.prompts:q}"
            " --log {log:q} --output {output:q} 2>&1 | tee {log:q}"
            ' || python "$LAYERWISE_SCRIPTS"/record_failure.py --status ${{PIPESTATUS[0]}} --log {log:q} --output {output:q}'
