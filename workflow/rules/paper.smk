# The paper, and the last word of a run.
#
# OUTPUTS
#   paper/{experiment}.pdf
#   results/{experiment}/ro-crate-metadata.json   how all of it was made, for machines
#   results/{experiment}/complete.txt             what was made, and what it cost


rule paper:
    """Typeset the paper: every number in its results comes from numbers.json or a table."""
    input:
        main="paper/main.typ",
        sources=["paper/references.bib", "paper/published.yaml"],
        numbers=f"{RESULTS}/numbers.json",
        tables=expand(f"{RESULTS}/tables/{{table}}.{{suffix}}", table=TABLE_INPUTS, suffix=["csv", "txt"]),
        figures=expand(f"{FIGURES}/{{figure}}.{{suffix}}", figure=FIGURE_INPUTS, suffix=["svg", "txt"]),
    output:
        report(f"paper/{EXPERIMENT}.pdf", caption="../report/paper.rst", category="Paper"),
    log:
        f"{LOGS}/paper.log",
    conda:
        "../../envs/paper.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=SPECS.paper(),
    shell:
        "python workflow/scripts/paper.py --spec {params.spec:q} --costs {log:q}.json"
        " --main {input.main:q} --inputs {input.numbers:q} {input.tables:q} {input.figures:q}"
        " --output {output:q} 2>&1 | tee {log:q}"


rule crate:
    """Describe the run for machines: every file, every job, what was made from what."""
    input:
        citation="CITATION.cff",
        made=[
            rules.paper.output,
            rules.numbers.output,
            expand(f"{RESULTS}/tables/{{table}}.{{suffix}}", table=TABLE_INPUTS, suffix=["csv", "tex"]),
            expand(f"{FIGURES}/{{figure}}.{{suffix}}", figure=FIGURE_INPUTS, suffix=["pdf", "svg", "png", "csv"]),
        ],
    output:
        f"{RESULTS}/ro-crate-metadata.json",
    log:
        f"{LOGS}/crate.log",
    conda:
        "../../envs/paper.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        spec=SPECS.crate(),
    shell:
        "python workflow/scripts/crate.py --spec {params.spec:q} --costs {log:q}.json"
        " --citation {input.citation:q} --made {input.made:q} --output {output:q} 2>&1 | tee {log:q}"


rule complete:
    """Say what was made and what it cost; fail if a cell failed, so that the next run tries it again."""
    input:
        cells=[path for subject in SUBJECTS for path in responses(subject)],
        paper=f"paper/{EXPERIMENT}.pdf",
        tables=expand(f"{RESULTS}/tables/{{table}}.csv", table=TABLE_INPUTS),
        figures=expand(f"{FIGURES}/{{figure}}.pdf", figure=FIGURE_INPUTS),
        crate=f"{RESULTS}/ro-crate-metadata.json",
    output:
        f"{RESULTS}/complete.txt",
    log:
        f"{LOGS}/complete.log",
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        spec=SPECS.aggregate("complete"),
    shell:
        "python workflow/scripts/complete.py --spec {params.spec:q} "
        f" --results {RESULTS} --logs {LOGS}"
        " --made {input.paper:q} {input.figures:q} --output {output:q} 2>&1 | tee {log:q}"
