# Figures and tables: pure functions of the metrics, each with the plotted data beside it.
#
# OUTPUTS
#   figures/{experiment}/{figure}.{pdf,svg,png}   with the plotted data (csv) and the caption (txt) beside it
#   results/{experiment}/tables/{table}.{csv,tex}  with a note for readers (txt) beside it

FRAMES = {
    name: [f"{RESULTS}/{name}.csv"]
    for name in ("metrics", "paired", "validity", "controls", "agreement", "gates", "predictions")
}
FRAMES |= {"probes": PROBES, "published": ["paper/published.yaml"]}

# What each figure and table is made from. Some need a judge, organisms, or organisms of several depths.
FIGURE_INPUTS = {
    "refusal-and-harm": ["metrics"],
    "outcomes": ["metrics"],
    "toxicity": ["metrics"],
    "ability": ["metrics"],
    "drift": ["probes"],
}
TABLE_INPUTS = {
    "outcomes": ["metrics"],
    "paired": ["paired"],
    "judges": ["validity"],
    "controls": ["controls"],
    "agreement": ["agreement"],
    "published": ["published", "metrics"],
}
if STUDY.human_labels:
    FRAMES |= {"human_labels": [f"{RESULTS}/human_labels.csv"]}
    TABLE_INPUTS |= {"human-labels": ["human_labels"]}
if not any(judge.judge == "toxicity" for judge in STUDY.judges.values()):
    del FIGURE_INPUTS["toxicity"]
if ORGANISMS:
    FIGURE_INPUTS |= {"probes": ["metrics", "probes"]}
if ORGANISMS or ASSEMBLED:
    FIGURE_INPUTS |= {"predictions": ["predictions"]}
    TABLE_INPUTS |= {"gates": ["gates"], "predictions": ["predictions"]}
if any(model.weights_of for model in STUDY.models.values()):
    FIGURE_INPUTS |= {"controls": ["metrics"]}
if len({STUDY.models[id].organism.vision.frozen_blocks for id in ORGANISMS}) > 1:
    FIGURE_INPUTS |= {"dose": ["metrics", "probes"]}


rule figure:
    """Draw one figure, and write down what it shows."""
    input:
        lambda wildcards: files(FIGURE_INPUTS[wildcards.figure]),
    output:
        pdf=f"{FIGURES}/{{figure}}.pdf",
        svg=f"{FIGURES}/{{figure}}.svg",
        csv=f"{FIGURES}/{{figure}}.csv",
        txt=f"{FIGURES}/{{figure}}.txt",
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
        sorted({path for names in (*FIGURE_INPUTS.values(), *TABLE_INPUTS.values()) for path in files(names)}),
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
        f" --config {CONFIG}"
        " --inputs {input:q} --output {output:q} 2>&1 | tee {log:q}"
