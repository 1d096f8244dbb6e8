"""One page on which a reader sees prompts, images, responses and verdicts by exit layer, with all results inside.

`study` says what was studied, `answers` and `pictures` pack what was asked and said, `sources` traces numbers back,
`contents` decides what goes in, and `document` builds the page from it and from the files in `page/`.
"""
