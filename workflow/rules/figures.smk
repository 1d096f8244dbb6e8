# Figures and tables: pure functions of the results. Each declares in its own file what it reads and what an experiment
# must have for it.
#
# OUTPUTS
#   figures/{experiment}/{figure}.{pdf,svg,png}   with the plotted data (csv), the caption (txt) and a sentence on what
# it
#                                                 shows (finding.txt) beside it
#   results/{experiment}/tables/{table}.{csv,tex}  with a note for readers (txt) and the same beside it

FRAMES = {
    name: [RUN.frame(name)]
    for name in (
        *("metrics", "paired", "margins", "validity", "controls", "agreement"),
        *("gates", "predictions", "human_labels"),
    )
}
FRAMES |= {"probes": PROBES, "published": []}  # a file of the project, which the spec holds
FACTS = facts(STUDY)
FIGURE_INPUTS = {name: said["INPUTS"] for name, said in plugins.planned("report.figures", FACTS).items()}
TABLE_INPUTS = {name: said["INPUTS"] for name, said in plugins.planned("report.tables", FACTS).items()}


rule figure:
    """Draw one figure, and write its caption and its finding."""
    input:
        lambda wildcards: files(FIGURE_INPUTS[wildcards.figure]),
    output:
        pdf=RUN.figure("{figure}", "pdf"),
        svg=RUN.figure("{figure}", "svg"),
        csv=RUN.figure("{figure}", "csv"),
        txt=RUN.figure("{figure}", "txt"),
        finding=RUN.figure("{figure}", "finding.txt"),
        png=report(
            RUN.figure("{figure}", "png"),
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
    log:
        RUN.log("figure/{figure}"),
    wildcard_constraints:
        figure="|".join(FIGURE_INPUTS),
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=lambda wildcards: SPECS.figure(wildcards.figure),
    shell:
        'python "$LAYERWISE_SCRIPTS"/figure.py --spec {params.spec:q} --costs {log:q}.json'
        f" --experiment {RUN.experiment}"
        " --inputs {input:q} --output {output.pdf:q} 2>&1 | tee {log:q}"


rule table:
    """Lay out one table, as CSV and for LaTeX."""
    input:
        lambda wildcards: files(TABLE_INPUTS[wildcards.table]),
    output:
        csv=RUN.table("{table}", "csv"),
        tex=RUN.table("{table}", "tex"),
        txt=RUN.table("{table}", "txt"),
        finding=RUN.table("{table}", "finding.txt"),
    log:
        RUN.log("table/{table}"),
    wildcard_constraints:
        table="|".join(TABLE_INPUTS),
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=lambda wildcards: SPECS.table(wildcards.table),
    shell:
        'python "$LAYERWISE_SCRIPTS"/table.py --spec {params.spec:q} --costs {log:q}.json'
        f" --experiment {RUN.experiment}"
        " --inputs {input:q} --output {output.csv:q} 2>&1 | tee {log:q}"


rule numbers:
    """Gather every number that the paper prints, each with its source."""
    input:
        results=sorted({path for names in (*FIGURE_INPUTS.values(), *TABLE_INPUTS.values()) for path in files(names)}),
        findings=[
            *expand(rules.figure.output.finding, figure=FIGURE_INPUTS),
            *expand(rules.table.output.finding, table=TABLE_INPUTS),
        ],
    output:
        RUN.numbers,
    log:
        RUN.log("numbers"),
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=SPECS.aggregate("number"),
    shell:
        'python "$LAYERWISE_SCRIPTS"/number.py --spec {params.spec:q} --costs {log:q}.json'
        " --inputs {input.results:q} --findings {input.findings:q} --output {output:q} 2>&1 | tee {log:q}"
