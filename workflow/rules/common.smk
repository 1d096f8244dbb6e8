# Which files hold which weights, and what a job needs.


def one_of(names):
    """The pattern of a wildcard that matches one of these names; without names, it matches nothing."""
    return "|".join(map(re.escape, names)) or "(?!)"


def weights_or_receipt(subject):
    """The file that holds the weights of a subject."""
    return RUN.weights(SUBJECTS[subject].weights) if SUBJECTS[subject].arm else receipt(subject)


def responses(subject):
    """The response files of a subject, one per exit layer."""
    return RUN.responses(subject, SUBJECTS[subject].layers)


def gpus(settings):
    """GPUs that one process of a model or a judge claims."""
    return getattr(settings, "gpus", 1) if settings.gpu_memory_gb else 0


def memory_mb(settings):
    """Memory of one process of a model or a judge; published weights pass through it even on their way to a GPU."""
    if getattr(settings, "assembled", None):
        return 2000 + 2 * int(settings.assembled.size_mb)
    return 2000 + (4000 + int(settings.source.size_mb or 0) if settings.source else 0)


def chunks(items, size):
    """Items in groups of a size, or all in one group."""
    size = len(items) if size == "all" else size
    return [items[start : start + size] for start in range(0, len(items), size)]


def judge_weights(judge):
    """The files that hold the weights of a judge, if it has any."""
    settings = (STUDY.rewards | STUDY.judges)[judge]
    if settings.source:
        return [receipt(judge), *([receipt(f"{judge}.base")] if settings.base else [])]
    return [RUN.checkpoint(judge)] if settings.train else []


def files(names):
    """The files of these frames."""
    return [path for name in names for path in FRAMES[name]]


def start(wildcards):
    """The weights that an arm starts from: another arm's, the encoder's, the backbones' or published ones."""
    model, seed = STUDY.models[wildcards.id], wildcards.seed
    arms, above = model.arms, model.arms[wildcards.arm].start
    if above is None and model.source:
        return receipt(wildcards.id)
    if above is None:
        return RUN.weights(f"{wildcards.id}.{f'vision.s{seed}' if model.organism else 'backbones'}")
    return RUN.weights(f"{wildcards.id}.{above}.s{seed_of(arms, above, seed)}")


def taught(wildcards):
    """The prompts that an arm learns from; organisms learn in their world."""
    if wildcards.id in ORGANISMS:
        return []
    data = lessons.stage(STUDY.models[wildcards.id], wildcards.arm).data
    return [RUN.prompts(dataset) for dataset in data.values()]


def own_answers(wildcards):
    """What the language model of an assembled model says by itself, where an arm learns to keep it."""
    model = STUDY.models[wildcards.id]
    stage = lessons.stage(model, wildcards.arm) if model.assembled else None
    return [RUN.own_answers(wildcards.id, stage.data[task]) for task in stage.own] if stage else []


def reward(wildcards):
    """The files of the judge whose score is an arm's reward, if it is one's."""
    judge = STUDY.models[wildcards.id].arms[wildcards.arm].judge
    return judge_weights(judge) if judge else []
