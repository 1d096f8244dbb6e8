# Figures and tables: pure functions of the results, each with the plotted data beside it. Each declares in its own file
# what it reads and what an experiment must have for it.
#
# OUTPUTS
#   figures/{experiment}/{figure}.{pdf,svg,png}   with the plotted data (csv), the caption (txt) and a sentence on what it
#                                                 shows (finding.txt) beside it
#   results/{experiment}/tables/{table}.{csv,tex}  with a note for readers (txt) and the same beside it

FRAMES = {
    name: [f"{RESULTS}/{name}.csv"]
    for name in ("metrics", "paired", "validity", "controls", "agreement", "gates", "predictions", "human_labels")
}
FRAMES |= {"probes": PROBES, "published": ["paper/published.yaml"]}
FACTS = facts(STUDY)
FIGURE_INPUTS = {name: said["INPUTS"] for name, said in plugins.planned("report.figures", FACTS).items()}
TABLE_INPUTS = {name: said["INPUTS"] for name, said in plugins.planned("report.tables", FACTS).items()}


rule figure:
    """Draw one figure, and write down what it shows."""
    input:
        lambda wildcards: files(FIGURE_INPUTS[wildcards.figure]),
    output:
        pdf=f"{FIGURES}/{{figure}}.pdf",
        svg=f"{FIGURES}/{{figure}}.svg",
        csv=f"{FIGURES}/{{figure}}.csv",
        txt=f"{FIGURES}/{{figure}}.txt",
        finding=f"{FIGURES}/{{figure}}.finding.txt",
        png=report(
            f"{FIGURES}/{{figure}}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
    log:
        f"{LOGS}/figure/{{figure}}.log",
    wildcard_constraints:
        figure="|".join(FIGURE_INPUTS),
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=lambda wildcards: SPECS.aggregate("figure", figure=wildcards.figure),
    shell:
        "python workflow/scripts/figure.py --spec {params.spec:q} --costs {log:q}.json"
        f" --config {CONFIG}"
        " --inputs {input:q} --output {output.pdf:q} 2>&1 | tee {log:q}"


rule table:
    """Lay out one table, as CSV and for LaTeX."""
    input:
        lambda wildcards: files(TABLE_INPUTS[wildcards.table]),
    output:
        csv=f"{RESULTS}/tables/{{table}}.csv",
        tex=f"{RESULTS}/tables/{{table}}.tex",
        txt=f"{RESULTS}/tables/{{table}}.txt",
        finding=f"{RESULTS}/tables/{{table}}.finding.txt",
    log:
        f"{LOGS}/table/{{table}}.log",
    wildcard_constraints:
        table="|".join(TABLE_INPUTS),
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=lambda wildcards: SPECS.aggregate("table", table=wildcards.table),
    shell:
        "python workflow/scripts/table.py --spec {params.spec:q} --costs {log:q}.json"
        f" --config {CONFIG}"
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
        f"{RESULTS}/numbers.json",
    log:
        f"{LOGS}/numbers.log",
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=SPECS.aggregate("number"),
    shell:
        "python workflow/scripts/number.py --spec {params.spec:q} --costs {log:q}.json"
        " --inputs {input.results:q} --findings {input.findings:q} --output {output:q} 2>&1 | tee {log:q}"
