"""The labs as an nbgrader course: run `nbgrader` or Jupyter's formgrader in this folder."""

c = get_config()

c.CourseDirectory.course_id = "llm-course"

# A cell may load the model and generate a few tokens on a slow machine; an endless loop may not.
c.Execute.timeout = 120
c.Execute.iopub_timeout = 30
c.Execute.extra_arguments = ["--HistoryManager.hist_file=:memory:", "--log-level=ERROR"]
# A learner who deleted a test cell gets it back instead of an error.
c.OverwriteCells.add_missing_cells = True
# Feedback says what was checked and why it failed, but never shows hidden tests.
c.GenerateFeedback.preprocessors = [
    "nbgrader.preprocessors.GetGrades",
    "nbgrader.preprocessors.ClearHiddenTests",
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]
