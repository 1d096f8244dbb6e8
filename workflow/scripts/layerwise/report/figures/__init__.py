"""The figures, one file each, found by name: `data` is what a figure shows, `draw` how, `caption` what to read in it.

- `data(frames: dict[str, DataFrame], subjects: DataFrame) -> DataFrame`
- `draw(data: DataFrame, style: Style) -> Figure`
- `caption(data: DataFrame, style: Style) -> str`
"""
