"""Train: fit the network, keep its best epoch, log as it goes; an interrupted one goes on."""

from pipeline.runtime import process

if __name__ == "__main__":
    process.start("pipeline.stages.train")  # settles it, then imports the rest

from pipeline.config.reading import stage
from pipeline.experiments.resume import resumed
from pipeline.experiments.team_fits import Team
from pipeline.experiments.train import train
from pipeline.experiments.workers import of_members
from pipeline.tracking.live_run import training_run

main = stage(
    lambda experiment, layout: train(
        experiment, layout, training_run, resumed, of_members(), Team.of_shell()
    )
)
