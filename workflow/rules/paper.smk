# The paper, the explorer, the description of the run for machines, and its final report.
#
# OUTPUTS
#   paper/{experiment}.pdf
#   results/{experiment}/explorer.html            prompts, images, responses and verdicts by exit layer, for a browser
#   results/{experiment}/ro-crate-metadata.json   how everything was made, for machines
#   results/{experiment}/complete.txt             what was made, and what it cost


rule paper:
    """Typeset the paper: every number in its results comes from numbers.json or a table."""
    input:
        numbers=RUN.numbers,
        tables=expand(RUN.table("{table}", "{suffix}"), table=TABLE_INPUTS, suffix=["csv", "txt"]),
        figures=expand(RUN.figure("{figure}", "{suffix}"), figure=FIGURE_INPUTS, suffix=["svg", "txt"]),
    output:
        report(RUN.paper, caption="../report/paper.rst", category="Paper"),
    log:
        RUN.log("paper"),
    conda:
        "../../envs/paper.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=SPECS.paper(),
    shell:
        'python "$LAYERWISE_SCRIPTS"/paper.py --spec {params.spec:q} --costs {log:q}.json'
        " --inputs {input.numbers:q} {input.tables:q} {input.figures:q}"
        " --output {output:q} 2>&1 | tee {log:q}"


rule explorer:
    """Gather everything that was asked, shown, said and judged in one page that needs no network."""
    input:
        prompts=PROMPTS,
        responses=[path for subject in SUBJECTS for path in responses(subject)],
        verdicts=VERDICTS,
        results=rules.numbers.input.results,
        numbers=RUN.numbers,
    output:
        RUN.explorer,
    log:
        RUN.log("explorer"),
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        spec=SPECS.explorer(),
    shell:
        'python "$LAYERWISE_SCRIPTS"/explorer.py --spec {params.spec:q} --costs {log:q}.json'
        f" --experiment {RUN.experiment}"
        " --prompts {input.prompts:q} --responses {input.responses:q} --verdicts {input.verdicts:q}"
        " --results {input.results:q} --numbers {input.numbers:q} --output {output:q} 2>&1 | tee {log:q}"


rule crate:
    """Describe the run for machines: every file, every job, with inputs and outputs."""
    input:
        [
            rules.paper.output,
            rules.explorer.output,
            rules.numbers.output,
            expand(RUN.table("{table}", "{suffix}"), table=TABLE_INPUTS, suffix=["csv", "tex"]),
            expand(RUN.figure("{figure}", "{suffix}"), figure=FIGURE_INPUTS, suffix=["pdf", "svg", "png", "csv"]),
        ],
    output:
        RUN.crate,
    log:
        RUN.log("crate"),
    conda:
        "../../envs/paper.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        spec=SPECS.crate(),
    shell:
        'python "$LAYERWISE_SCRIPTS"/crate.py --spec {params.spec:q} --costs {log:q}.json'
        " --made {input:q} --output {output:q} 2>&1 | tee {log:q}"


rule complete:
    """Report what was made and what it cost; fail if a cell failed, so that the next run retries it."""
    input:
        cells=[path for subject in SUBJECTS for path in responses(subject)],
        paper=RUN.paper,
        explorer=RUN.explorer,
        tables=expand(RUN.table("{table}", "csv"), table=TABLE_INPUTS),
        figures=expand(RUN.figure("{figure}", "pdf"), figure=FIGURE_INPUTS),
        crate=RUN.crate,
    output:
        RUN.complete,
    log:
        RUN.log("complete"),
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        spec=SPECS.aggregate("complete"),
    shell:
        'python "$LAYERWISE_SCRIPTS"/complete.py --spec {params.spec:q}'
        " --log {log:q} --made {input.paper:q} {input.explorer:q} {input.figures:q} --output {output:q} 2>&1 | tee {log:q}"
