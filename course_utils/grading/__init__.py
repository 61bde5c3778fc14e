"""Release, validate, grade and give feedback on labs, by driving nbgrader.

A lab is a folder of `labs/source`, and `labs/` is an ordinary nbgrader course. One module a verb:

    release.release(name)      the learners' version, made from the source
    validate.validate(path)    a learner's own copy: points, reasons, hints
    grade.grade(name, ...)     a class, into nbgrader's gradebook
    feedback.feedback(name)    one HTML page for each graded submission

`sample_class` makes a class whose scores are known, and `class_table` compares.
"""
