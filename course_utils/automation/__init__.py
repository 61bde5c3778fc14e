"""Run the course's notebooks with papermill and report on them.

`run.run_notebooks` is the way in; a notebook publishes numbers with `results.record`.
"""
