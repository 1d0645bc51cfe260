"""Evaluate: forecast validation and test as a user would, score beside the baselines, report."""

from pipeline.runtime import process

if __name__ == "__main__":
    process.start("pipeline.stages.evaluate")  # settles it, then imports the rest

from pipeline.config.experiment import Experiment
from pipeline.config.reading import check_unchanged, stage
from pipeline.experiments.chosen import trained
from pipeline.experiments.evaluate import evaluate
from pipeline.files.layout import Layout
from pipeline.monitoring import usual
from pipeline.reports import markdown, page, report
from pipeline.tracking import publishing


@stage
def main(experiment: Experiment, layout: Layout) -> None:
    """The raw table, data/model and data/windows -> data/reports, and scores to MLflow."""
    made = trained(experiment, layout)
    evaluation = evaluate(made, layout)
    usual.write(made, layout, evaluation)
    report.write(made, layout, evaluation)
    markdown.show(evaluation.metrics, markdown.heading(made), markdown.sees_more(made))
    check_unchanged(experiment)
    of_report = page.of_report(made, layout)
    publishing.publish_or_warn(made, layout, of_report, evaluation.example)
